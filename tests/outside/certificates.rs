//! Certificates of an authority that a test makes for itself, as the files that servers and clients are given.

#![allow(dead_code)] // each test program uses its part

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, date_time_ymd,
};

use super::outside::{TemporaryDirectory, finish, installed};

/// An authority, and a directory for what it signs.
pub(crate) struct Authority {
    directory: TemporaryDirectory,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The files of a certificate, with those above it, and of its key.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("An authority of this test")
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut of = params(&[]);
        of.distinguished_name.push(DnType::CommonName, name);
        of.extended_key_usages = Vec::new(); // of those whom it signs as well
        of.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        of.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(of, new_key()).expect("a certificate");
        let authority = Self { directory: TemporaryDirectory::new("certificates"), issuer };
        authority.write("authority.pem", &authority.issuer.pem());
        authority
    }

    /// The file of its own certificate, for those who are to trust it.
    pub(crate) fn file(&self) -> PathBuf {
        self.path("authority.pem")
    }

    /// For these names and numbers, with a key of P-256.
    pub(crate) fn sign(&self, names: &[&str]) -> Pair {
        self.sign_with(names, |_| {})
    }

    /// The same with something changed.
    pub(crate) fn sign_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut of = params(names);
        change(&mut of);
        self.sign_for(&of, &new_key())
    }

    pub(crate) fn expired(&self, names: &[&str]) -> Pair {
        self.sign_with(names, |of| of.not_after = date_time_ymd(2001, 2, 3))
    }

    pub(crate) fn not_yet_valid(&self, names: &[&str]) -> Pair {
        self.sign_with(names, |of| of.not_before = date_time_ymd(2999, 2, 3))
    }

    /// Shown by a client.
    pub(crate) fn client(&self, name: &str) -> Pair {
        self.sign_with(&[name], |of| of.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// With a key of RSA, 2,048 bits.
    pub(crate) fn rsa(&self, names: &[&str]) -> Pair {
        self.sign_for(&params(names), &KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key"))
    }

    /// Signed by an authority in the middle, whose certificate stands in the file as well.
    pub(crate) fn chain(&self, names: &[&str]) -> Pair {
        let mut of = params(&[]);
        of.distinguished_name.push(DnType::CommonName, "An authority in the middle");
        of.extended_key_usages = Vec::new();
        of.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        of.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let middle = CertifiedIssuer::signed_by(of, new_key(), &self.issuer).expect("a certificate");
        let key = new_key();
        let leaf = params(names).signed_by(&key, &middle).expect("a certificate");
        self.store(&(leaf.pem() + &middle.pem()), &key)
    }

    /// Signed by nobody but itself.
    pub(crate) fn self_signed(&self, names: &[&str]) -> Pair {
        let key = new_key();
        self.store(&params(names).self_signed(&key).expect("a certificate").pem(), &key)
    }

    /// The same key in a file that wants a password.
    pub(crate) fn encrypted(&self, pair: &Pair) -> Pair {
        let key = self.fresh("encrypted");
        let mut openssl = installed("openssl");
        openssl.args(["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:secret"]);
        let (code, _, errors) = finish(openssl.arg("-in").arg(&pair.key).arg("-out").arg(&key));
        assert_eq!(code, 0, "{errors}");
        Pair { certificate: pair.certificate.clone(), key }
    }

    /// A file with this in it.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file can be made");
        path
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory.0
    }

    fn sign_for(&self, of: &CertificateParams, key: &KeyPair) -> Pair {
        self.store(&of.signed_by(key, &self.issuer).expect("a certificate").pem(), key)
    }

    fn store(&self, certificates: &str, key: &KeyPair) -> Pair {
        let [certificate, file] = ["pem", "key"].map(|kind| self.fresh(kind));
        std::fs::write(&certificate, certificates).expect("a file can be made");
        std::fs::write(&file, key.serialize_pem()).expect("a file can be made");
        Pair { certificate, key: file }
    }

    /// A path at which there is no file yet.
    fn fresh(&self, kind: &str) -> PathBuf {
        let name = |nth: usize| self.path(&format!("{nth}.{kind}"));
        (0..).map(name).find(|path| !path.exists()).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.0.join(name)
    }
}

/// Valid for long, and for servers, unless that is changed.
fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut of = CertificateParams::new(names).expect("names");
    of.distinguished_name = rcgen::DistinguishedName::new();
    of.use_authority_key_identifier_extension = true;
    of.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    of
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

/// The hash of a certificate's public key, by which a browser is told to trust it.
pub(crate) fn key_hash(pair: &Pair) -> String {
    let script = "openssl pkey -in \"$0\" -pubout -outform der | openssl dgst -sha256 -binary | openssl base64";
    let mut shell = std::process::Command::new("sh");
    let (code, hash, errors) = finish(shell.arg("-c").arg(script).arg(&pair.key));
    assert!(code == 0 && hash.trim().len() == 44, "{hash:?} {errors}");
    hash.trim().to_owned()
}
