//! An etcd that is spoken to by TLS, and that can ask who one is.
#![allow(dead_code, reason = "not all stories ask all of this of it")]

mod authority;

use std::{path::Path, time::Duration};

use etcd_client::{
    Certificate, Client, ConnectOptions, Identity, Permission, PermissionType, TlsOptions,
};
use jobboard::{
    store::{
        Etcd, Result,
        etcd::{Settings, Tls},
    },
    testing::LocalEtcd,
};
use tempfile::TempDir;
use tokio::time::timeout;

pub(crate) use self::authority::Authority;

/// The password of every user.
pub(crate) const PASSWORD: &str = "known-to-all-users";

/// Where the keys of all boards begin.
const BOARDS: &str = "/taskflow/jobs/";

/// More than anything here takes; a test that waits so long has failed.
const BOUND: Duration = Duration::from_mins(1);

/// How long a connection may take. No refusal needs so long, not even on a busy machine, so that
/// one which comes before did not wait for it.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);

/// An etcd that is spoken to by TLS.
pub(crate) struct SecureEtcd {
    pub(crate) process: LocalEtcd,
    /// Who signed its certificate, and signs those of its clients.
    pub(crate) authority: Authority,
    /// Its certificates, which it reads for each new connection.
    files: TempDir,
}

/// What is asked of an etcd.
#[derive(Clone, Copy, Default)]
pub(crate) struct Setup<'a> {
    /// The name in its certificate; that of its endpoint if there is none.
    pub(crate) name: Option<&'a str>,
    /// Whether it asks its clients for a certificate.
    pub(crate) mutual: bool,
    pub(crate) flags: &'a [&'a str],
}

/// An etcd that asks its clients for a certificate.
pub(crate) const MUTUAL: Setup<'static> = Setup {
    name: None,
    mutual: true,
    flags: &[],
};

/// Runs `story` with each version of etcd.
pub(crate) async fn on_each<F: Future<Output = ()>>(
    setup: Setup<'_>,
    story: impl Fn(SecureEtcd) -> F,
) {
    for binary in LocalEtcd::binaries().unwrap() {
        let etcd = SecureEtcd::start(&binary, setup).await;
        timeout(BOUND, Box::pin(story(etcd)))
            .await
            .unwrap_or_else(|_| {
                panic!("the story does not end with {}", binary.display());
            });
    }
}

impl SecureEtcd {
    pub(crate) async fn start(binary: &Path, setup: Setup<'_>) -> Self {
        let authority = Authority::new();
        let files = tempfile::tempdir().unwrap();
        let path = |name| files.path().join(name);
        std::fs::write(path("authority"), authority.certificate()).unwrap();
        show(&files, authority.issue(setup.name.unwrap_or("127.0.0.1")));
        let mut builder = LocalEtcd::builder()
            .binary(binary)
            .tls(path("certificate"), path("key"))
            // So that two cores check a password fast.
            .flag("--bcrypt-cost=4");
        if setup.mutual {
            let trusted = format!("--trusted-ca-file={}", path("authority").display());
            builder = builder.flag("--client-cert-auth").flag(trusted);
        }
        let builder = setup.flags.iter().fold(builder, |it, flag| it.flag(*flag));
        Self {
            process: builder.start().await.unwrap(),
            authority,
            files,
        }
    }

    /// Shows another certificate to those who connect from now on.
    pub(crate) fn show(&self, identity: (String, String)) {
        show(&self.files, identity);
    }

    pub(crate) fn endpoint(&self) -> String {
        self.process.endpoint()
    }

    /// The certificates of a client that trusts this etcd.
    pub(crate) fn tls(&self) -> Tls {
        Tls::new(self.authority.certificate())
    }

    pub(crate) async fn connect(&self) -> Etcd {
        self.connect_by(self.tls()).await.unwrap()
    }

    pub(crate) async fn connect_by(&self, tls: Tls) -> Result<Etcd> {
        let settings = Settings::new().connect_timeout(CONNECT).tls(tls);
        Etcd::connect_with([self.endpoint()], settings).await
    }

    pub(crate) async fn connect_as(&self, user: &str, password: &str) -> Result<Etcd> {
        let settings = Settings::new().connect_timeout(CONNECT).tls(self.tls());
        let settings = settings.user(user, password);
        Etcd::connect_with([self.endpoint()], settings).await
    }

    /// Makes the user `root`, and `reader` who may read below `open/` and look at every board; then
    /// turns authentication on.
    pub(crate) async fn enable_auth(&self) {
        let mut admin = self.raw_client(None).await;
        admin.user_add("root", PASSWORD, None).await.unwrap();
        admin.user_grant_role("root", "root").await.unwrap();
        admin.role_add("reading").await.unwrap();
        for prefix in ["open/", BOARDS] {
            let permission = Permission::new(PermissionType::Read, prefix).with_prefix();
            admin
                .role_grant_permission("reading", permission)
                .await
                .unwrap();
        }
        admin.user_add("reader", PASSWORD, None).await.unwrap();
        admin.user_grant_role("reader", "reading").await.unwrap();
        admin.auth_enable().await.unwrap();
    }

    pub(crate) async fn administrator(&self) -> Client {
        self.raw_client(Some("root")).await
    }

    /// A client as etcd's own library makes it: its token is not renewed.
    pub(crate) async fn raw_client(&self, user: Option<&str>) -> Client {
        let authority = Certificate::from_pem(self.authority.certificate());
        let (certificate, key) = self.authority.issue("root");
        let mut options = ConnectOptions::new().with_tls(
            TlsOptions::new()
                .ca_certificate(authority)
                .identity(Identity::from_pem(certificate, key)),
        );
        if let Some(name) = user {
            options = options.with_user(name, PASSWORD);
        }
        Client::connect([self.endpoint()], Some(options))
            .await
            .unwrap()
    }
}

fn show(files: &TempDir, (certificate, key): (String, String)) {
    std::fs::write(files.path().join("certificate"), certificate).unwrap();
    std::fs::write(files.path().join("key"), key).unwrap();
}

/// What etcd is told to give out signed tokens that live for two seconds, and the folder of the secret
/// that it signs them with.
pub(crate) fn signed_tokens() -> (String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    let secret = secret.display();
    let flag = format!("--auth-token=jwt,priv-key={secret},sign-method=HS256,ttl=2s");
    (flag, folder)
}
