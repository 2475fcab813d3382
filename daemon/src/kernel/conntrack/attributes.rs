//! The numbers of ctnetlink, by the names of `linux/netfilter/nfnetlink_conntrack.h`.

/// Nested attributes are marked with this bit of their type (`linux/netlink.h`).
pub(super) const NESTED: u16 = 1 << 15;

/// The subsystem's number (`linux/netfilter/nfnetlink.h`) is the upper byte of a message's type.
const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const SUBSYSTEM: u16 = NFNL_SUBSYS_CTNETLINK << 8;
pub(super) const IPCTNL_MSG_CT_NEW: u16 = SUBSYSTEM;
pub(super) const IPCTNL_MSG_CT_GET: u16 = SUBSYSTEM | 1;
pub(super) const IPCTNL_MSG_CT_DELETE: u16 = SUBSYSTEM | 2;

/// The subsystem of what connections expect, and its requests.
const NFNL_SUBSYS_CTNETLINK_EXP: u16 = 2;
pub(super) const EXPECTATIONS: u16 = NFNL_SUBSYS_CTNETLINK_EXP << 8;
pub(super) const IPCTNL_MSG_EXP_NEW: u16 = EXPECTATIONS;
pub(super) const IPCTNL_MSG_EXP_GET: u16 = EXPECTATIONS | 1;
pub(super) const IPCTNL_MSG_EXP_DELETE: u16 = EXPECTATIONS | 2;

/// The groups of news, as the mask in a socket's address (`linux/netfilter/nfnetlink_compat.h`).
pub(super) const NF_NETLINK_CONNTRACK_NEW: u32 = 1 << 0;
pub(super) const NF_NETLINK_CONNTRACK_UPDATE: u32 = 1 << 1;
pub(super) const NF_NETLINK_CONNTRACK_DESTROY: u32 = 1 << 2;
pub(super) const NF_NETLINK_CONNTRACK_EXP_NEW: u32 = 1 << 3;
pub(super) const NF_NETLINK_CONNTRACK_EXP_UPDATE: u32 = 1 << 4;
pub(super) const NF_NETLINK_CONNTRACK_EXP_DESTROY: u32 = 1 << 5;
/// The first of these groups by its number (`linux/netfilter/nfnetlink.h`).
pub(super) const NFNLGRP_CONNTRACK_NEW: i32 = 1;

pub(super) const CTA_TUPLE_ORIG: u16 = 1;
pub(super) const CTA_TUPLE_REPLY: u16 = 2;
pub(super) const CTA_STATUS: u16 = 3;
pub(super) const CTA_PROTOINFO: u16 = 4;
pub(super) const CTA_HELP: u16 = 5;
pub(super) const CTA_NAT_SRC: u16 = 6;
pub(super) const CTA_TIMEOUT: u16 = 7;
pub(super) const CTA_MARK: u16 = 8;
pub(super) const CTA_ID: u16 = 12;
pub(super) const CTA_NAT_DST: u16 = 13;
pub(super) const CTA_TUPLE_MASTER: u16 = 14;
pub(super) const CTA_SEQ_ADJ_ORIG: u16 = 15;
pub(super) const CTA_SEQ_ADJ_REPLY: u16 = 16;
pub(super) const CTA_ZONE: u16 = 18;
pub(super) const CTA_LABELS: u16 = 22;
pub(super) const CTA_LABELS_MASK: u16 = 23;
pub(super) const CTA_SYNPROXY: u16 = 24;

// In CTA_TUPLE_*.
pub(super) const CTA_TUPLE_IP: u16 = 1;
pub(super) const CTA_TUPLE_PROTO: u16 = 2;
pub(super) const CTA_TUPLE_ZONE: u16 = 3;

// In CTA_TUPLE_IP.
pub(super) const CTA_IP_V4_SRC: u16 = 1;
pub(super) const CTA_IP_V4_DST: u16 = 2;
pub(super) const CTA_IP_V6_SRC: u16 = 3;
pub(super) const CTA_IP_V6_DST: u16 = 4;

// In CTA_TUPLE_PROTO.
pub(super) const CTA_PROTO_NUM: u16 = 1;
pub(super) const CTA_PROTO_SRC_PORT: u16 = 2;
pub(super) const CTA_PROTO_DST_PORT: u16 = 3;
pub(super) const CTA_PROTO_ICMP_ID: u16 = 4;
pub(super) const CTA_PROTO_ICMP_TYPE: u16 = 5;
pub(super) const CTA_PROTO_ICMP_CODE: u16 = 6;
pub(super) const CTA_PROTO_ICMPV6_ID: u16 = 7;
pub(super) const CTA_PROTO_ICMPV6_TYPE: u16 = 8;
pub(super) const CTA_PROTO_ICMPV6_CODE: u16 = 9;

// In CTA_PROTOINFO.
pub(super) const CTA_PROTOINFO_TCP: u16 = 1;
pub(super) const CTA_PROTOINFO_DCCP: u16 = 2;
pub(super) const CTA_PROTOINFO_SCTP: u16 = 3;

// In CTA_PROTOINFO_TCP.
pub(super) const CTA_PROTOINFO_TCP_STATE: u16 = 1;
pub(super) const CTA_PROTOINFO_TCP_WSCALE_ORIGINAL: u16 = 2;
pub(super) const CTA_PROTOINFO_TCP_WSCALE_REPLY: u16 = 3;
pub(super) const CTA_PROTOINFO_TCP_FLAGS_ORIGINAL: u16 = 4;
pub(super) const CTA_PROTOINFO_TCP_FLAGS_REPLY: u16 = 5;

// In CTA_PROTOINFO_DCCP.
pub(super) const CTA_PROTOINFO_DCCP_STATE: u16 = 1;
pub(super) const CTA_PROTOINFO_DCCP_ROLE: u16 = 2;
pub(super) const CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ: u16 = 3;

// In CTA_PROTOINFO_SCTP.
pub(super) const CTA_PROTOINFO_SCTP_STATE: u16 = 1;
pub(super) const CTA_PROTOINFO_SCTP_VTAG_ORIGINAL: u16 = 2;
pub(super) const CTA_PROTOINFO_SCTP_VTAG_REPLY: u16 = 3;

// In CTA_NAT_SRC and CTA_NAT_DST.
pub(super) const CTA_NAT_V4_MINIP: u16 = 1;
pub(super) const CTA_NAT_PROTO: u16 = 3;
pub(super) const CTA_NAT_V6_MINIP: u16 = 4;

// In CTA_NAT_PROTO.
pub(super) const CTA_PROTONAT_PORT_MIN: u16 = 1;

// In CTA_SEQ_ADJ_*.
pub(super) const CTA_SEQADJ_CORRECTION_POS: u16 = 1;
pub(super) const CTA_SEQADJ_OFFSET_BEFORE: u16 = 2;
pub(super) const CTA_SEQADJ_OFFSET_AFTER: u16 = 3;

// In CTA_SYNPROXY.
pub(super) const CTA_SYNPROXY_ISN: u16 = 1;
pub(super) const CTA_SYNPROXY_ITS: u16 = 2;
pub(super) const CTA_SYNPROXY_TSOFF: u16 = 3;

// In CTA_HELP.
pub(super) const CTA_HELP_NAME: u16 = 1;

// Of what connections expect.
pub(super) const CTA_EXPECT_MASTER: u16 = 1;
pub(super) const CTA_EXPECT_TUPLE: u16 = 2;
pub(super) const CTA_EXPECT_MASK: u16 = 3;
pub(super) const CTA_EXPECT_TIMEOUT: u16 = 4;
pub(super) const CTA_EXPECT_HELP_NAME: u16 = 6;
pub(super) const CTA_EXPECT_ZONE: u16 = 7;
pub(super) const CTA_EXPECT_FLAGS: u16 = 8;
pub(super) const CTA_EXPECT_CLASS: u16 = 9;
pub(super) const CTA_EXPECT_NAT: u16 = 10;
pub(super) const CTA_EXPECT_FN: u16 = 11;

// In CTA_EXPECT_NAT.
pub(super) const CTA_EXPECT_NAT_DIR: u16 = 1;
pub(super) const CTA_EXPECT_NAT_TUPLE: u16 = 2;

/// Packets pass by the flow table and not by connection tracking
/// (`linux/netfilter/nf_conntrack_common.h`).
pub(super) const IPS_OFFLOAD: u32 = 1 << 14;
