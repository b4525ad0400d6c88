use std::net::Ipv4Addr;

use tokio::net::TcpSocket;

use super::*;

#[tokio::test]
async fn every_tested_etcd_serves_and_tells_its_version() {
    for binary in LocalEtcd::binaries().unwrap() {
        let etcd = LocalEtcd::builder().binary(binary).start().await.unwrap();
        assert!(etcd.version().await.unwrap().starts_with("3."));
    }
}

#[tokio::test]
async fn missing_etcd_says_what_to_install() {
    let error = LocalEtcd::builder()
        .binary("/nowhere/etcd")
        .start()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("apt install etcd-server"));
}

#[tokio::test]
async fn wrong_flag_is_told_with_the_log() {
    let error = LocalEtcd::builder()
        .flag("--no-such-flag")
        .start()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no-such-flag"), "{error}");
}

#[tokio::test]
async fn taken_port_is_told() {
    let other = LocalEtcd::start().await.unwrap();
    let mut etcd = LocalEtcd::start().await.unwrap();
    etcd.ports.client = other.ports.client;
    let error = etcd.restart().await.unwrap_err();
    assert!(
        error.to_string().contains("address already in use"),
        "{error}"
    );
}

#[tokio::test]
async fn etcd_of_somebody_else_is_not_taken_for_ours() {
    let mut other = LocalEtcd::start().await.unwrap();
    let mut etcd = LocalEtcd::start().await.unwrap();
    assert!(etcd.serves().await);
    std::mem::swap(&mut etcd.ports, &mut other.ports);
    assert!(!etcd.serves().await);
}

#[tokio::test]
async fn ports_of_an_etcd_that_is_away_go_to_nobody_else() {
    let mut etcd = LocalEtcd::start().await.unwrap();
    etcd.kill();
    let ports = &etcd.ports;
    for port in [ports.client, ports.peer, ports.health] {
        let other = TcpSocket::new_v4().unwrap();
        let bound = other.bind((Ipv4Addr::LOCALHOST, port).into());
        assert_eq!(bound.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
    etcd.restart().await.unwrap();
}

#[tokio::test]
async fn restart_keeps_the_endpoint_and_is_another_process() {
    let mut etcd = LocalEtcd::start().await.unwrap();
    let (endpoint, pid) = (etcd.endpoint(), etcd.pid());
    etcd.stop().await.unwrap();
    assert_eq!(etcd.pid(), None);
    etcd.restart().await.unwrap();
    assert_eq!(etcd.endpoint(), endpoint);
    assert_ne!(etcd.pid(), pid);
}

#[tokio::test]
async fn paused_etcd_answers_again_when_resumed() {
    let etcd = LocalEtcd::start().await.unwrap();
    etcd.pause().unwrap();
    assert!(etcd.version().await.is_err());
    etcd.resume().unwrap();
    assert!(etcd.version().await.is_ok());
}

#[tokio::test]
async fn dropping_removes_process_and_folder() {
    let etcd = LocalEtcd::start().await.unwrap();
    let (folder, port) = (etcd.folder().to_owned(), etcd.ports.client);
    drop(etcd);
    assert!(!folder.exists());
    assert_eq!(http::get(port, "/version").await, None);
}

#[test]
fn etcd_outlives_the_thread_that_ordered_it() {
    let run = |work| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map(|runtime| runtime.block_on(work))
            .unwrap()
    };
    let started = std::thread::scope(|scope| {
        let thread = scope.spawn(|| run(Box::pin(LocalEtcd::start()) as Starting));
        thread.join().unwrap()
    });
    let etcd = started.unwrap();
    assert!(
        tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(etcd.version())
            .is_ok()
    );
}

type Starting = std::pin::Pin<Box<dyn Future<Output = Result<LocalEtcd>> + Send>>;

/// Names the file in which the helper of the next test writes down the process of its etcd.
const HELPER: &str = "JOBBOARD_LOCAL_ETCD_HELPER";

#[tokio::test]
#[ignore = "the helper of etcd_dies_with_the_process_that_started_it"]
async fn helper_that_is_killed() {
    let etcd = LocalEtcd::start().await.unwrap();
    fs::write(
        std::env::var_os(HELPER).unwrap(),
        etcd.pid().unwrap().to_string(),
    )
    .unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn etcd_dies_with_the_process_that_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("pid");
    let mut helper = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "local_etcd::tests::helper_that_is_killed",
            "--ignored",
        ])
        .env(HELPER, &note)
        .env("TMPDIR", folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = wait_for(|| fs::read_to_string(&note).ok()?.parse::<u32>().ok()).await;
    let process = PathBuf::from(format!("/proc/{pid}/exe"));
    assert!(process.read_link().is_ok());
    helper.kill().unwrap();
    helper.wait().unwrap();
    wait_for(|| process.read_link().is_err().then_some(())).await;
}

async fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "it did not come");
        sleep(LOOK).await;
    }
}
