//! Which answer comes to which request.

use model::request::InputContent;
use protocol::item::OpaqueReasoning;
use serde_json::json;

use super::*;

fn said(text: &str) -> InputItem {
    InputItem::UserMessage(vec![InputContent::Text(text.into())])
}

fn answered(text: &str) -> InputItem {
    InputItem::AgentMessage(text.into())
}

fn sealed(text: &str) -> InputItem {
    let item = json!({"type": "compaction", "encrypted_content": text});
    InputItem::Reasoning(OpaqueReasoning { wire_api: "responses".into(), item })
}

fn player(takes: &[(Form, &[InputItem], &str)]) -> Player {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("seen.jsonl");
    let secrets = vec![Secret::new("hush-hush".into())];
    let recorder = Recorder::new(file.clone(), RecordedApi::Responses, secrets);
    for (form, input, event) in takes {
        let mut tape = recorder.tape(&Place::of(*form, input), "m");
        tape.event(event);
        tape.complete();
    }
    assert!(!std::fs::read_to_string(&file).unwrap().contains("hush-hush"));
    read(&file).unwrap().1
}

fn take(player: &Player, form: Form, input: &[InputItem], time: usize) -> Option<String> {
    player.take(&Place::of(form, input), time).map(|take| take.events[0].clone())
}

#[test]
fn a_conversation_that_began_anew_is_another_place() {
    let first = [said("one")];
    let whole = [said("one"), answered("a"), said("two")];
    let (anew, again) = ([sealed("x"), said("two")], [sealed("y"), said("two")]);
    let player = player(&[
        (Form::Events, &first, "a"),
        (Form::Object, &whole[..2], "sealed hush-hush"),
        (Form::Events, &anew, "b"),
        (Form::Events, &whole, "the notes"),
        (Form::Events, &again, "c"),
    ]);
    assert!(player.compacts());
    let events = |input: &[InputItem]| take(&player, Form::Events, input, 0);
    assert_eq!(events(&first).as_deref(), Some("a"));
    assert_eq!(take(&player, Form::Object, &whole[..2], 0).as_deref(), Some("sealed [secret]"));
    assert_eq!(events(&anew).as_deref(), Some("b"));
    assert_eq!(events(&again).as_deref(), Some("c"));
    assert_eq!(events(&whole).as_deref(), Some("the notes"));
    // A session whose conversation begins in another way goes by the number of its answers.
    assert_eq!(events(&[said("other"), answered("z"), said("more")]).as_deref(), Some("b"));
}

#[test]
fn two_requests_at_one_place_are_told_apart_by_their_ends() {
    let full = [said("one"), answered("a"), said("two")];
    let order = [said("one"), answered("a"), said("write notes")];
    let player = player(&[(Form::Events, &full, "too long"), (Form::Events, &order, "the notes")]);
    assert_eq!(take(&player, Form::Events, &order, 0).as_deref(), Some("the notes"));
    assert_eq!(take(&player, Form::Events, &full, 0).as_deref(), Some("too long"));
    assert_eq!(take(&player, Form::Events, &full, 1), None);
    assert!(!player.compacts());
}

#[test]
fn what_an_earlier_version_recorded_is_played_by_the_number_of_answers() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("old.jsonl");
    let line = |events: &str| {
        format!(r#"{{"answersBefore":0,"model":"m","status":200,"events":["{events}"],"end":"complete"}}"#)
    };
    let text = format!("{{\"skeinRecording\":1,\"wireApi\":\"responses\"}}\n{}\n{}\n", line("a"), line("b"));
    std::fs::write(&file, text).unwrap();
    let (_, player) = read(&file).unwrap();
    for (time, expected) in [(0, Some("a")), (1, Some("b")), (2, None)] {
        assert_eq!(take(&player, Form::Events, &[said("hi")], time).as_deref(), expected);
    }
}
