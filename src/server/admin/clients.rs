//! The clients of the admin server: one thread reads their requests and writes their answers,
//! whoever is silent or slow meanwhile.

use super::exchange::{Asked, HEAD_MAX_BYTES, parse};
use super::reserve::{self, Reserve};
use crate::server::listener::Listener;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use socket2::Socket;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Clients at a time; for one more the oldest has to go.
const CLIENTS_MAX: usize = 64;

/// How long one exchange may take in all.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(2);

/// The wait after a connection could not be accepted.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What is asked, of whom it is asked, and by whom.
pub struct Question {
    client: u64,
    /// What is asked; `None` when it is no request.
    pub asked: Option<Asked>,
}

/// Where answers are given, from any thread.
#[derive(Clone)]
pub struct Answers {
    sender: Sender<(u64, Vec<u8>)>,
    waker: Waker,
}

/// Wakes the thread that waits.
#[derive(Debug, Clone)]
pub struct Waker(Arc<OwnedFd>);

/// The clients and what they wait for.
pub struct Clients {
    clients: VecDeque<Client>,
    answers: Receiver<(u64, Vec<u8>)>,
    waker: Waker,
    next_number: u64,
    accepts_at: Instant,
}

struct Client {
    number: u64,
    socket: Socket,
    deadline: Instant,
    state: State,
}

enum State {
    /// The beginning of a request.
    Reading(Vec<u8>),
    /// The answer is being made.
    Waiting,
    /// The answer, and how much of it has been sent.
    Writing(Vec<u8>, usize),
}

impl Waker {
    /// A waker.
    ///
    /// # Errors
    /// There are not enough descriptors.
    pub fn new() -> io::Result<Self> {
        let descriptor = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self(Arc::new(descriptor)))
    }

    /// Ends the wait.
    pub fn wake(&self) {
        // Fails only where it has been woken very often already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    fn clear(&self) {
        // Fails when nobody has woken it.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

impl Answers {
    /// Gives the bytes that answer a question.
    pub fn give(&self, question: &Question, bytes: Vec<u8>) {
        // Without a receiver the server is ending.
        let _ = self.sender.send((question.client, bytes));
        self.waker.wake();
    }
}

impl Clients {
    /// No clients yet, and where their answers are given.
    pub fn new(waker: Waker) -> (Self, Answers) {
        let (sender, answers) = mpsc::channel();
        let giving = Answers { sender, waker: waker.clone() };
        let clients = Clients {
            clients: VecDeque::new(),
            answers,
            waker,
            next_number: 0,
            accepts_at: Instant::now(),
        };
        (clients, giving)
    }

    /// Serves clients until `ending`: gives each question to `ask`.
    pub fn serve(
        &mut self,
        listener: &Listener,
        reserve: &mut Reserve,
        ending: &AtomicBool,
        ask: &dyn Fn(Question),
    ) {
        while !ending.load(Ordering::Acquire) {
            if let Err(error) = self.wait(listener) {
                log::error!("the admin server cannot wait for its clients: {error}");
                std::thread::sleep(ACCEPT_RETRY);
            }
            self.waker.clear();
            self.accept(listener, reserve);
            while let Ok((number, bytes)) = self.answers.try_recv() {
                if let Some(client) = self.clients.iter_mut().find(|c| c.number == number) {
                    client.state = State::Writing(bytes, 0);
                }
            }
            let now = Instant::now();
            self.clients.retain_mut(|client| client.deadline > now && client.advance(ask));
            reserve.refill();
        }
    }

    /// Waits until there is something to do.
    fn wait(&self, listener: &Listener) -> io::Result<()> {
        let now = Instant::now();
        let mut descriptors = vec![PollFd::from_borrowed_fd(self.waker.0.as_fd(), PollFlags::IN)];
        let mut until = self.clients.iter().map(|client| client.deadline).min();
        if self.accepts_at <= now {
            descriptors.push(PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN));
        } else {
            until = Some(until.map_or(self.accepts_at, |at| at.min(self.accepts_at)));
        }
        for client in &self.clients {
            let events = match client.state {
                State::Reading(_) => PollFlags::IN,
                State::Waiting => PollFlags::empty(),
                State::Writing(..) => PollFlags::OUT,
            };
            descriptors.push(PollFd::from_borrowed_fd(client.socket.as_fd(), events));
        }
        let timeout = until.map(|at| {
            let left = at.saturating_duration_since(now) + Duration::from_millis(1);
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
        });
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn accept(&mut self, listener: &Listener, reserve: &mut Reserve) {
        while self.accepts_at <= Instant::now() {
            match listener.accept() {
                Ok((socket, _)) => self.add(socket),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if reserve::is_exhaustion(&error) && self.has_given_way(reserve) => {}
                Err(_) => self.accepts_at = Instant::now() + ACCEPT_RETRY,
            }
        }
    }

    /// Whether a descriptor was freed for a client who comes.
    fn has_given_way(&mut self, reserve: &mut Reserve) -> bool {
        reserve.release() || self.clients.pop_front().is_some()
    }

    fn add(&mut self, socket: Socket) {
        if self.clients.len() == CLIENTS_MAX {
            self.clients.pop_front();
        }
        self.next_number += 1;
        self.clients.push_back(Client {
            number: self.next_number,
            socket,
            deadline: Instant::now() + EXCHANGE_TIMEOUT,
            state: State::Reading(Vec::new()),
        });
    }
}

impl Client {
    /// Does what can be done without waiting; whether the client is not done with.
    fn advance(&mut self, ask: &dyn Fn(Question)) -> bool {
        match self.read(ask).and_then(|()| self.write()) {
            Ok(done) => !done,
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            Err(error) => {
                log::debug!("an admin request was not answered: {error}");
                false
            }
        }
    }

    fn read(&mut self, ask: &dyn Fn(Question)) -> io::Result<()> {
        let mut buffer = [0; 1024];
        while let State::Reading(head) = &mut self.state {
            let length = (&self.socket).read(&mut buffer)?;
            if length == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            head.extend_from_slice(&buffer[..length]);
            let asked = match parse(head) {
                Ok(None) if head.len() < HEAD_MAX_BYTES => continue,
                Ok(asked) => asked,
                Err(_) => None,
            };
            self.state = State::Waiting;
            ask(Question { client: self.number, asked });
        }
        Ok(())
    }

    /// Whether the answer is sent.
    fn write(&mut self) -> io::Result<bool> {
        let State::Writing(bytes, sent) = &mut self.state else { return Ok(false) };
        while *sent < bytes.len() {
            match (&self.socket).write(&bytes[*sent..])? {
                0 => return Err(ErrorKind::WriteZero.into()),
                length => *sent += length,
            }
        }
        Ok(true)
    }
}
