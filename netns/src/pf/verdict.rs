//! What two probes have seen, and whether that proves anything.

use serde::{Deserialize, Serialize};

/// How an attempt to get out ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// Somebody took it, and said this.
    Answered(String),
    /// Refused, at once.
    Refused,
    /// There is no way there at all, as without any network.
    Unreachable,
    /// Nothing came back in time.
    Silence,
}

/// What a probe has seen: attempts to reach port 443 of addresses that nobody has (RFC 5737, RFC 3849).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// By TCP over IPv4.
    pub(crate) tcp: Outcome,
    /// By TCP over IPv6.
    pub(crate) tcp6: Outcome,
    /// By UDP over IPv4.
    pub(crate) udp: Outcome,
    /// By way of a proxy, if there is one.
    pub(crate) proxied: Option<Outcome>,
}

/// Whether a group is redirected: `inside` is what its probe has seen, `outside` that of another group.
///
/// # Errors
/// In words, what is not as it must be.
pub(crate) fn judge(inside: &Seen, outside: &Seen, run_id: &str) -> Result<(), String> {
    let wanted = format!("authsome-probe {run_id} ");
    match &inside.tcp {
        Outcome::Answered(line) if line.starts_with(&wanted) => {}
        Outcome::Answered(_) => {
            return Err("a connection to port 443 arrived at somebody else".to_owned());
        }
        Outcome::Unreachable => {
            return Err(
                "this machine has no network over IPv4, so nothing can be proved".to_owned()
            );
        }
        Outcome::Refused => return Err("a connection to port 443 was refused".to_owned()),
        Outcome::Silence => {
            return Err("a connection to port 443 did not arrive at the interceptor".to_owned());
        }
    }
    for (outcome, what) in [(&inside.tcp6, "IPv6"), (&inside.udp, "UDP")] {
        if !matches!(outcome, Outcome::Refused | Outcome::Unreachable) {
            return Err(format!("{what} to port 443 was not refused"));
        }
    }
    if let Outcome::Answered(_) = outside.tcp {
        return Err("connections of other programs are redirected too".to_owned());
    }
    Ok(())
}

/// Whether a profile leaves nothing open but the way by the proxy: what a probe has seen that it confines.
///
/// # Errors
/// In words, what is not as it must be.
pub(crate) fn judge_confined(seen: &Seen, run_id: &str) -> Result<(), String> {
    let wanted = format!("authsome-probe {run_id} ");
    match &seen.proxied {
        Some(Outcome::Answered(line)) if line.contains(&wanted) => {}
        other => return Err(format!("the proxy was not reached ({other:?})")),
    }
    for (outcome, what) in [(&seen.tcp, "IPv4"), (&seen.tcp6, "IPv6"), (&seen.udp, "UDP")] {
        if !matches!(outcome, Outcome::Refused | Outcome::Unreachable) {
            return Err(format!("a way out by {what} was not refused"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside() -> Seen {
        let tcp = Outcome::Answered("authsome-probe 0123 192.0.2.1".to_owned());
        Seen { tcp, tcp6: Outcome::Unreachable, udp: Outcome::Refused, proxied: None }
    }

    fn outside() -> Seen {
        let silence = Outcome::Silence;
        Seen { tcp: silence.clone(), tcp6: silence.clone(), udp: silence, proxied: None }
    }

    #[test]
    fn a_group_that_is_redirected_while_others_are_not_is_proved() {
        assert_eq!(judge(&inside(), &outside(), "0123"), Ok(()));
    }

    #[test]
    fn a_profile_is_proved_by_the_proxy_alone_being_in_reach() {
        let line = "HTTP/1.1 200 x\r\n\r\nauthsome-probe 0123 192.0.2.1\n".to_owned();
        let refused = || Outcome::Refused;
        let good = Seen {
            tcp: refused(),
            tcp6: refused(),
            udp: refused(),
            proxied: Some(Outcome::Answered(line)),
        };
        assert_eq!(judge_confined(&good, "0123"), Ok(()));
        assert!(judge_confined(&good, "4567").is_err());
        for wrong in [
            Seen { tcp: Outcome::Silence, ..good.clone() },
            Seen { tcp6: Outcome::Answered(String::new()), ..good.clone() },
            Seen { udp: Outcome::Silence, ..good.clone() },
            Seen { proxied: Some(refused()), ..good.clone() },
            Seen { proxied: None, ..good },
        ] {
            assert!(judge_confined(&wrong, "0123").is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn anything_else_proves_nothing() {
        let answered = |line: &str| Outcome::Answered(line.to_owned());
        let wrong = [
            Seen { tcp: answered("authsome-probe 4567 192.0.2.1"), ..inside() },
            Seen { tcp: answered(""), ..inside() },
            Seen { tcp: Outcome::Silence, ..inside() },
            Seen { tcp: Outcome::Refused, ..inside() },
            Seen { tcp: Outcome::Unreachable, ..inside() },
            Seen { tcp6: Outcome::Silence, ..inside() },
            Seen { tcp6: answered("x"), ..inside() },
            Seen { udp: Outcome::Silence, ..inside() },
        ];
        for seen in wrong {
            assert!(judge(&seen, &outside(), "0123").is_err(), "{seen:?}");
        }
        let others_too = Seen { tcp: answered(""), ..outside() };
        assert!(judge(&inside(), &others_too, "0123").is_err());
    }
}
