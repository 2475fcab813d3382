//! The secrets that the files of a configuration hold. They are read together with it and go where it
//! goes; nothing prints them.

use std::collections::BTreeMap;
use std::path::Path;

use evergate_api::config::advert_key::{self, AdvertKeyError};
use evergate_api::config::model as file;
use evergate_api::config::secret;
use evergate_core::vrrp::guard::{Keys, Method, Mode};
use evergate_core::wire::trailer::Key;
use evergate_core::wire::vrrp::Password;

use crate::seal::ClusterKey;

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// The keys of the cluster; empty where the file needs none.
    pub cluster: Vec<ClusterKey>,
    /// How adverts are authenticated, by group; those of other groups are not.
    pub adverts: BTreeMap<String, Method>,
}

impl Secrets {
    /// Reads the files that a configuration names and this node needs: those of groups that run elsewhere
    /// need not be here. An error names the file and what to do.
    pub fn load(config: &file::Config, node: &str) -> Result<Secrets, String> {
        let cluster = match &config.cluster.key_file {
            Some(path) => {
                let secrets = secret::load_keys(path).map_err(|error| error.to_string())?;
                secrets.iter().map(|secret| ClusterKey::new(*secret.expose())).collect()
            }
            None => Vec::new(),
        };
        let mut adverts = BTreeMap::new();
        let here = config.groups.iter().filter(|(_, group)| group.priorities.contains_key(node));
        for (name, group) in here {
            let method = method(&group.vrrp)?;
            if method != Method::None {
                adverts.insert(name.clone(), method);
            }
        }
        Ok(Secrets { cluster, adverts })
    }
}

fn method(vrrp: &file::Vrrp) -> Result<Method, String> {
    Ok(match &vrrp.auth {
        file::Auth::None => Method::None,
        file::Auth::Password { key_file } => Method::Password(password(key_file)?),
        file::Auth::Header { key_file } => Method::Header(password(key_file)?),
        file::Auth::Trailer(trailer) => Method::Trailer(keys(vrrp, trailer)?),
    })
}

fn password(path: &Path) -> Result<Password, String> {
    let password = advert_key::load_password(path).map_err(|error| told(path, &error))?;
    Ok(Password(*password))
}

fn keys(vrrp: &file::Vrrp, trailer: &file::TrailerAuth) -> Result<Keys, String> {
    let mut keys = BTreeMap::new();
    for (number, path) in &trailer.key_files {
        let bytes = advert_key::load_trailer_key(path).map_err(|error| told(path, &error))?;
        let most = advert_key::TRAILER_KEY_BYTES_MAX;
        let key = Key::new(&bytes).ok_or_else(|| told(path, &AdvertKeyError::TooLong(most)))?;
        keys.insert(*number, key);
    }
    let mode = match trailer.mode {
        file::TrailerMode::ReceiveOnly => Mode::ReceiveOnly,
        file::TrailerMode::Permissive => Mode::Permissive,
        file::TrailerMode::Enforce => Mode::Enforce,
    };
    Ok(Keys { keys, active: trailer.active, mode, window: vrrp.window(trailer) })
}

/// The error with the name of the file, once.
fn told(path: &Path, error: &AdvertKeyError) -> String {
    match error {
        AdvertKeyError::File(error) => error.to_string(),
        error => format!("{}: {error}", path.display()),
    }
}
