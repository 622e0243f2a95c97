//! `smart_limit_secret_file`: secrets from files, read with the configuration.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use crate::core::token::Keys;
use crate::limit::conf::MainConf;
use crate::nginx::conf::{Conf, Refusal};
use crate::nginx::module::Directive;

/// The most bytes of a secret.
const SECRET_MAX: u64 = 4096;

/// Who may read a file that its mode lets everybody read.
const READ_BY_OTHERS: u32 = 0o004;

pub struct SecretFile;
impl Directive for SecretFile {
    type Conf = MainConf;

    fn set(cf: Conf, conf: &mut MainConf) -> Result<(), Refusal> {
        let path = cf.full_name(&cf.args()[1])?;
        let shown = path.display();
        let failed = |call: &str, error: io::Error| {
            let sentence = format!("{call}() \"{shown}\" failed");
            Refusal::Errno(sentence, error.raw_os_error().unwrap_or(0))
        };
        let file = File::open(path).map_err(|error| failed("open", error))?;
        let mode = file.metadata().map_err(|error| failed("fstat", error))?.mode();
        let mut secret = Vec::new();
        let read = file.take(SECRET_MAX + 1).read_to_end(&mut secret);
        read.map_err(|error| failed("read", error))?;
        if secret.len() as u64 > SECRET_MAX {
            return Err(format!("\"{shown}\" has more than {SECRET_MAX} bytes").into());
        }
        if mode & READ_BY_OTHERS != 0 {
            cf.warn(format_args!("secret file \"{shown}\" is readable by everybody"));
        }
        let added = match &mut conf.keys {
            Some(keys) => keys.add(&secret),
            None => Keys::new(&secret).map(|keys| conf.keys = Some(keys)),
        };
        added.map_err(|error| format!("invalid secret file \"{shown}\": {error}").into())
    }
}
