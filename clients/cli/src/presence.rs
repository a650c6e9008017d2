//! Who comes, goes and takes over, as lines that a person reads. Compares what is with what was.

use protocol::ids::ClientId;
use protocol::session::{Attachment, ClientRole, Presence};
use view::escape;

/// Who was there last.
#[derive(Default)]
pub(crate) struct Watch {
    known: Option<Presence>,
}

impl Watch {
    /// Forgets who was there: the daemon is another one, and everybody comes anew.
    pub(crate) fn forget(&mut self) {
        self.known = None;
    }

    /// Notes who is there, and tells what is new of others than `own`. The first time, that is who else is there.
    pub(crate) fn see(&mut self, now: Presence, own: ClientId) -> Vec<String> {
        let lines = match &self.known {
            Some(before) => changes(before, &now, own),
            None => company(&now, own),
        };
        self.known = Some(now);
        lines
    }
}

fn company(now: &Presence, own: ClientId) -> Vec<String> {
    let others: Vec<String> = others(now, own).map(described).collect();
    let mut lines = Vec::new();
    if !others.is_empty() {
        lines.push(format!("also here: {}", others.join(", ")));
    }
    if let Some(driver) = now.sole_driver.filter(|driver| *driver != own) {
        lines.push(format!("{} took over, and is the only one who may write", name_of(now, driver)));
    }
    lines
}

fn changes(before: &Presence, now: &Presence, own: ClientId) -> Vec<String> {
    let is_in = |presence: &Presence, who: &Attachment| {
        presence.attached.iter().any(|other| other.actor.client_id == who.actor.client_id)
    };
    let came = others(now, own).filter(|who| !is_in(before, who));
    let left = others(before, own).filter(|who| !is_in(now, who));
    let mut lines: Vec<String> = came.map(|who| format!("{} attached", described(who))).collect();
    lines.extend(left.map(|who| format!("{} left", name(who))));
    match (before.sole_driver, now.sole_driver) {
        (was, Some(driver)) if was != Some(driver) => {
            let who = if driver == own { "this client".to_owned() } else { name_of(now, driver) };
            lines.push(format!("{who} took over, and is the only one who may write"));
        }
        (Some(_), None) => lines.push("everybody may write again".to_owned()),
        (None | Some(_), _) => {}
    }
    lines
}

fn others(presence: &Presence, own: ClientId) -> impl Iterator<Item = &Attachment> {
    presence.attached.iter().filter(move |who| who.actor.client_id != own)
}

fn described(who: &Attachment) -> String {
    match who.role {
        ClientRole::Driver => name(who),
        ClientRole::Viewer | ClientRole::Unknown(_) => format!("{} (looks on)", name(who)),
    }
}

fn name(who: &Attachment) -> String {
    format!("`{}`", escape::line(&who.actor.name))
}

fn name_of(presence: &Presence, client: ClientId) -> String {
    let who = presence.attached.iter().find(|who| who.actor.client_id == client);
    who.map_or_else(|| "another client".to_owned(), name)
}

#[cfg(test)]
mod tests {
    use protocol::ids::Timestamp;
    use protocol::turn::Actor;

    use super::*;

    fn client(name: &str, role: ClientRole) -> Attachment {
        Attachment {
            actor: Actor { client_id: ClientId::generate(), name: name.to_owned() },
            version: String::new(),
            role,
            can_answer: true,
            attached_at: Timestamp(0),
            is_focused: false,
        }
    }

    fn presence(attached: &[&Attachment], sole: Option<&Attachment>) -> Presence {
        Presence {
            attached: attached.iter().map(|who| (*who).clone()).collect(),
            sole_driver: sole.map(|who| who.actor.client_id),
            background: Vec::new(),
        }
    }

    #[test]
    fn others_are_seen_to_come_and_go() {
        let (own, editor) =
            (client("skein attach", ClientRole::Driver), client("editor", ClientRole::Driver));
        let viewer = client("big\u{1b}[2J", ClientRole::Viewer);
        let mut watch = Watch::default();
        let mut see = |attached: &[&Attachment]| watch.see(presence(attached, None), own.actor.client_id);
        assert!(see(&[&own]).is_empty(), "nobody else is there");
        assert_eq!(see(&[&own, &editor]), ["`editor` attached"]);
        assert_eq!(see(&[&own, &editor, &viewer]), ["`big\\e[2J` (looks on) attached"]);
        assert!(see(&[&own, &editor, &viewer]).is_empty(), "nothing changed");
        assert_eq!(see(&[&own, &viewer]), ["`editor` left"]);
    }

    #[test]
    fn taking_over_is_told_to_all() {
        let (own, editor) =
            (client("skein attach", ClientRole::Driver), client("editor", ClientRole::Driver));
        let both = [&own, &editor];
        let mut watch = Watch::default();
        let mut see = |sole| watch.see(presence(&both, sole), own.actor.client_id);
        assert_eq!(see(None), ["also here: `editor`"]);
        assert_eq!(see(Some(&editor)), ["`editor` took over, and is the only one who may write"]);
        assert_eq!(see(None), ["everybody may write again"]);
        assert_eq!(see(Some(&own)), ["this client took over, and is the only one who may write"]);
    }

    #[test]
    fn who_comes_late_hears_who_took_over() {
        let (own, editor) =
            (client("skein attach", ClientRole::Driver), client("editor", ClientRole::Driver));
        let lines = Watch::default().see(presence(&[&own, &editor], Some(&editor)), own.actor.client_id);
        assert_eq!(lines, ["also here: `editor`", "`editor` took over, and is the only one who may write"]);
    }

    #[test]
    fn a_new_daemon_is_no_coming_and_going() {
        let (own, editor) =
            (client("skein attach", ClientRole::Driver), client("editor", ClientRole::Driver));
        let mut watch = Watch::default();
        watch.see(presence(&[&own, &editor], None), own.actor.client_id);
        watch.forget();
        let anew = client("skein attach", ClientRole::Driver);
        assert!(watch.see(presence(&[&anew], None), anew.actor.client_id).is_empty());
    }
}
