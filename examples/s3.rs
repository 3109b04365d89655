//! An S3 server over a folder (s3s-fs), for the benchmark of `publish`: `s3 FOLDER PORT`. Each folder in it is
//! a bucket; whoever asks may do all.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use hyper_util::rt::{TokioExecutor, TokioIo};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, folder, port] = &args[..] else { panic!("usage: s3 FOLDER PORT") };
    let fs = s3s_fs::FileSystem::new(folder).expect("folder");
    let mut service = s3s::service::S3ServiceBuilder::new(fs);
    service.set_auth(s3s::auth::SimpleAuth::from_single("bench", "benchbench"));
    let service = service.build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let port = port.parse::<u16>().expect("port");
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("bind");
        loop {
            let (socket, _) = listener.accept().await.expect("accept");
            let service = service.clone();
            tokio::spawn(async move {
                let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                drop(http.serve_connection(TokioIo::new(socket), service).await);
            });
        }
    });
}
