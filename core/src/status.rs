//! What is true at this moment, with every figure that was used. The daemon shows it; nothing here
//! changes anything.
