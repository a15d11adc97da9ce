//! The bounded queue between those who log and the one thread that writes: a slow reader of
//! the log costs lines, never a worker's time.

use super::clock::Clock;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The most bytes that wait to be written. Lines beyond are dropped and counted.
const QUEUE_MAX_BYTES: usize = 1 << 20;

/// A longer line is cut.
const LINE_MAX_BYTES: usize = 16 << 10;

/// Buffers larger than this are given back after a burst.
const KEPT_BYTES: usize = 16 << 10;

/// Stack of the writing thread.
const STACK_BYTES: usize = 128 << 10;

/// Which of the two outputs a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output: requests.
    Access,
    /// Standard error: everything else.
    Messages,
}

/// The queue. It lives as long as the process.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    drained: Condvar,
}

#[derive(Default)]
struct State {
    /// The lines, one after the other.
    text: String,
    /// Which bytes of the text go where, in order: an output and a length.
    parts: VecDeque<(Output, usize)>,
    clock: Clock,
    dropped: u64,
    dropped_since_told: u64,
    /// Whether the writer has taken lines that it has not written yet.
    writing: bool,
}

impl Queue {
    /// A queue with a thread that writes to the outputs of the process.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> io::Result<Arc<Queue>> {
        let queue = Arc::new(Queue::default());
        let writer = queue.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || writer.write_forever(&mut io::stdout(), &mut io::stderr()))?;
        Ok(queue)
    }

    /// Adds a line that `write` writes, given the time of day. Control characters in it
    /// become spaces, so that a line stays one line.
    pub fn push(
        &self,
        output: Output,
        write: impl FnOnce(&mut dyn fmt::Write, &str) -> fmt::Result,
    ) {
        let mut state = self.lock();
        if state.text.len() > QUEUE_MAX_BYTES {
            state.dropped += 1;
            state.dropped_since_told += 1;
            return;
        }
        let was_empty = state.text.is_empty();
        let State { text, parts, clock, .. } = &mut *state;
        let start = text.len();
        // The only error is that of a line that is cut.
        let _ = write(&mut Line { text, end: start + LINE_MAX_BYTES }, clock.now());
        text.push('\n');
        let length = text.len() - start;
        match parts.back_mut() {
            Some((last, bytes)) if *last == output => *bytes += length,
            _ => parts.push_back((output, length)),
        }
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Lines dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Waits until all lines are written, or for as long as `patience`.
    pub fn flush(&self, patience: Duration) {
        let unwritten = |state: &mut State| state.writing || !state.text.is_empty();
        drop(self.drained.wait_timeout_while(self.lock(), patience, unwritten));
    }

    fn write_forever(&self, access: &mut dyn Write, messages: &mut dyn Write) {
        let mut text = String::new();
        loop {
            text.clear();
            text.shrink_to(KEPT_BYTES);
            let parts = self.take(&mut text);
            let mut rest = text.as_bytes();
            for (output, length) in parts {
                let (part, behind) = rest.split_at(length);
                rest = behind;
                // There is nowhere to complain to when the log is gone.
                let _ = match output {
                    Output::Access => access.write_all(part).and_then(|()| access.flush()),
                    Output::Messages => messages.write_all(part),
                };
            }
        }
    }

    /// Waits for lines and takes them, and a line about those that were dropped.
    fn take(&self, text: &mut String) -> VecDeque<(Output, usize)> {
        let mut state = self.lock();
        state.writing = false;
        self.drained.notify_all();
        let is_empty = |state: &mut State| state.text.is_empty();
        state = self.filled.wait_while(state, is_empty).unwrap_or_else(PoisonError::into_inner);
        state.writing = true;
        std::mem::swap(text, &mut state.text);
        let mut parts = std::mem::take(&mut state.parts);
        let dropped = std::mem::take(&mut state.dropped_since_told);
        if dropped > 0 {
            let start = text.len();
            text.push_str(state.clock.now());
            text.push_str(&format!(
                ": {dropped} lines were dropped here, because the log is not read fast enough\n"
            ));
            parts.push_back((Output::Messages, text.len() - start));
        }
        parts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while formatting leaves at worst a line that is cut.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the queue's text, as far as one line may go.
struct Line<'q> {
    text: &'q mut String,
    end: usize,
}

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.text.len() >= self.end {
                self.text.push('…');
                return Err(fmt::Error);
            }
            self.text.push(if character.is_control() { ' ' } else { character });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Lets a writer take what is in the queue and gives both outputs.
    fn written(queue: &Queue) -> (String, String) {
        let mut text = String::new();
        let parts = queue.take(&mut text);
        let (mut access, mut messages, mut rest) = (String::new(), String::new(), text.as_str());
        for (output, length) in parts {
            let (part, behind) = rest.split_at(length);
            rest = behind;
            match output {
                Output::Access => access.push_str(part),
                Output::Messages => messages.push_str(part),
            }
        }
        (access, messages)
    }

    #[test]
    fn lines_go_to_their_outputs_in_order() {
        let queue = Queue::default();
        for (output, line) in
            [(Output::Messages, "a"), (Output::Access, "b"), (Output::Messages, "c")]
        {
            queue.push(output, |out, _| out.write_str(line));
        }
        assert_eq!(written(&queue), ("b\n".to_owned(), "a\nc\n".to_owned()));
    }

    #[test]
    fn a_line_stays_one_line_of_bounded_length() {
        let queue = Queue::default();
        queue.push(Output::Access, |out, _| out.write_str("a\r\nforged\u{1b}[31m"));
        queue.push(Output::Access, |out, _| out.write_str(&"ä".repeat(LINE_MAX_BYTES)));
        let (access, _) = written(&queue);
        let lines: Vec<&str> = access.lines().collect();
        assert_eq!(lines[0], "a  forged [31m");
        assert!(lines.len() == 2 && lines[1].len() < LINE_MAX_BYTES + 8);
    }

    #[test]
    fn lines_beyond_the_limit_are_dropped_counted_and_told() {
        let queue = Queue::default();
        let line = "x".repeat(LINE_MAX_BYTES - 1);
        let fitting = QUEUE_MAX_BYTES / LINE_MAX_BYTES + 1;
        for _ in 0..fitting + 3 {
            queue.push(Output::Access, |out, _| out.write_str(&line));
        }
        assert_eq!(queue.dropped(), 3);
        let (access, messages) = written(&queue);
        assert_eq!(access.lines().count(), fitting);
        assert!(messages.contains(": 3 lines were dropped"), "{messages}");
        queue.push(Output::Access, |out, _| out.write_str("again"));
        assert_eq!(written(&queue), ("again\n".to_owned(), String::new()));
    }

    /// Gives the bytes on.
    struct Pipe(mpsc::Sender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map(|()| bytes.len()).map_err(io::Error::other)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_flushed_queue_has_been_written() {
        let queue = Arc::new(Queue::default());
        let (sender, receiver) = mpsc::channel();
        let writer = queue.clone();
        thread::spawn(move || writer.write_forever(&mut Pipe(sender), &mut io::sink()));
        queue.push(Output::Access, |out, _| out.write_str("one"));
        queue.flush(Duration::from_secs(60));
        assert_eq!(receiver.try_recv().as_deref(), Ok(&b"one\n"[..]));
    }
}
