//! The time of day in the form of access logs: `26/Jul/2021:01:56:38 -0500`.

use std::time::{SystemTime, UNIX_EPOCH};

/// The longest text, with room for the name of a month in any locale.
const TEXT_BYTES: usize = 64;

/// Gives the time, and keeps the text of the current second.
#[derive(Debug, Default)]
pub struct Clock {
    second: i64,
    text: String,
}

impl Clock {
    /// Local time, to the second.
    pub fn now(&mut self) -> &str {
        let second = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX));
        if self.text.is_empty() || second != self.second {
            self.second = second;
            self.text = format(second);
        }
        &self.text
    }
}

fn format(second: i64) -> String {
    let mut buffer = [0u8; TEXT_BYTES];
    // SAFETY: an all-zero `tm` is a valid one; localtime_r and strftime get pointers to memory
    // of ours, with its size, and the format ends with a NUL.
    let length = unsafe {
        let mut local: libc::tm = std::mem::zeroed();
        let time = second as libc::time_t;
        libc::localtime_r(&time, &mut local);
        libc::strftime(
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            c"%d/%b/%Y:%H:%M:%S %z".as_ptr(),
            &local,
        )
    };
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_that_of_access_logs() {
        // 1627282598 is 26 July 2021, 06:56:38 UTC; the zone is the machine's.
        let text = format(1_627_282_598);
        assert_eq!(text.len(), "26/Jul/2021:01:56:38 -0500".len(), "{text}");
        assert!(text.contains("/Jul/2021:") && text.contains(":38 "), "{text}");
    }
}
