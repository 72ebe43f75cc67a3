//! The same server on compio (io_uring): one runtime per thread, one task per connection; the reads of one receive are
//! submitted together, their answers leave in one vectored send.
use crate::wire::{HEADER, Request};
use compio::BufResult;
use compio::io::{AsyncRead, AsyncReadAtExt, AsyncWriteExt};
use futures_util::future::join_all;
use std::net::TcpStream;
use std::path::PathBuf;
use std::rc::Rc;

/// Serves these connections on this thread. `inline`: page-cache reads by `preadv2(RWF_NOWAIT)` in the task, else the ring.
pub fn serve(connections: Vec<TcpStream>, path: PathBuf, inline: bool) {
    compio::runtime::Runtime::new().expect("io_uring").block_on(async move {
        let file = compio::fs::File::open(&path).await.expect("open");
        let plain = Rc::new(std::fs::File::open(&path).expect("open"));
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|stream| {
                let stream = compio::net::TcpStream::from_std(stream).expect("register");
                compio::runtime::spawn(connection(stream, file.clone(), plain.clone(), inline))
            })
            .collect();
        join_all(tasks).await;
    });
}

async fn connection(
    mut stream: compio::net::TcpStream,
    file: compio::fs::File,
    plain: Rc<std::fs::File>,
    inline: bool,
) {
    let mut input: Vec<u8> = Vec::new();
    let mut buffer = Vec::with_capacity(65536);
    loop {
        let BufResult(result, back) = stream.read(buffer).await;
        buffer = back;
        match result {
            Ok(n) if n > 0 => input.extend_from_slice(&buffer[..n]),
            _ => return,
        }
        buffer.clear();
        let whole = input.len() / HEADER * HEADER;
        let answers = join_all(input[..whole].chunks_exact(HEADER).map(|bytes| {
            let request = Request::parse(bytes);
            let (file, plain) = (&file, &plain);
            async move {
                if inline && let Some(data) = crate::epoll::read_cached(plain, &request) {
                    return (request, data);
                }
                let length = request.length as usize;
                let data = Vec::with_capacity(length);
                let BufResult(result, data) = file.read_exact_at(data, request.offset).await;
                result.expect("read");
                (request, data)
            }
        }))
        .await;
        input.drain(..whole);
        let mut out = Vec::with_capacity(answers.len() * 2);
        for (request, data) in answers {
            out.push(request.answer().to_vec());
            out.push(data);
        }
        if stream.write_vectored_all(out).await.0.is_err() {
            return;
        }
    }
}
