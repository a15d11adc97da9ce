//! The text that the tutorial prints: a shell script whose comments explain its commands.
//!
//! Every line is a comment, empty or part of a command, and every step starts with a line
//! `# Step N: …`, so the whole or any step can be pasted, piped to a shell or tested.

use std::path::Path;

/// What the text is made of.
pub struct Steps<'a> {
    pub version: &'a str,
    pub port: u16,
    /// The path of this program, for further tokens.
    pub program: &'a Path,
    pub data: &'a Path,
    pub configuration: &'a Path,
    pub sockets: &'a Path,
    /// A token of the role `todo_user`.
    pub token: &'a str,
    /// The same, expiring soon.
    pub expiring_token: &'a str,
    /// The same, with the email address that `auth.check_token` turns away.
    pub wayward_token: &'a str,
}

impl Steps<'_> {
    /// The whole text, ending with a newline.
    pub fn text(&self) -> String {
        let Steps { version, port, token, expiring_token, wayward_token, .. } = self;
        let [program, data, configuration, sockets] =
            [self.program, self.data, self.configuration, self.sockets].map(Path::display);
        let url = format!("http://localhost:{port}/todos");
        format!(
            r#"# goldenkey {version} serves the tutorial on http://localhost:{port} until Ctrl-C.
#
#   data:           {data} (kept between runs; delete it to start over)
#   configuration:  {configuration}
#   database:       psql -h {sockets} -U postgres postgres
#
# Paste the steps into another terminal.

# Step 1: anyone may read the todos.
curl {url}

# Step 2: without a token nobody may write; 401 Unauthorized.
curl {url} -X POST \
     -H "Content-Type: application/json" \
     -d '{{"task": "do bad thing"}}'

# Step 3: the bearer of a token for the role todo_user may.
export TOKEN="{token}"
curl {url} -X POST \
     -H "Authorization: Bearer $TOKEN" \
     -H "Content-Type: application/json" \
     -d '{{"task": "learn how to auth"}}'

# Step 4: and may change todos; without a filter, all of them.
curl {url} -X PATCH \
     -H "Authorization: Bearer $TOKEN" \
     -H "Content-Type: application/json" \
     -d '{{"done": true}}'

# Step 5: all are done now.
curl {url}

# Step 6: this token expires five minutes after the tutorial's start; 401 from then on.
export NEW_TOKEN="{expiring_token}"
curl {url} \
     -H "Authorization: Bearer $NEW_TOKEN"

# Step 7: this token is valid, but auth.check_token turns its bearer away; 403 Forbidden.
export WAYWARD_TOKEN="{wayward_token}"
curl {url} \
     -H "Authorization: Bearer $WAYWARD_TOKEN"

# More tokens:
#   {program} token {configuration} --role todo_user --expires 5m
"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn text() -> String {
        let steps = Steps {
            version: "0.1.0",
            port: 3000,
            program: Path::new("/bin/goldenkey"),
            data: Path::new("/data"),
            configuration: Path::new("/data/tutorial.conf"),
            sockets: Path::new("/data/sockets"),
            token: "a.b.c",
            expiring_token: "d.e.f",
            wayward_token: "g.h.i",
        };
        steps.text()
    }

    #[test]
    fn the_text_is_a_shell_script() {
        let status = Command::new("sh").args(["-n", "-c", &text()]).status().unwrap();
        assert!(status.success());
    }

    #[test]
    fn the_steps_are_numbered_and_each_runs_curl() {
        let text = text();
        for (number, step) in text.split("# Step ").skip(1).enumerate() {
            assert!(step.starts_with(&format!("{}: ", number + 1)), "{step}");
            assert!(step.contains("\ncurl http://localhost:3000/todos"), "{step}");
        }
        assert_eq!(text.matches("# Step ").count(), 7);
    }
}
