//! What the responder says to each kind of question.

use std::collections::BTreeMap;

use super::*;

fn table() -> NameTable {
    NameTable::new(BTreeMap::new())
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn reply_to(message: &Message, names: &NameTable) -> Message {
    let answer = answer(&message.to_vec().unwrap(), names).unwrap();
    assert!(answer.bytes.len() <= 512);
    Message::from_vec(&answer.bytes).unwrap()
}

#[track_caller]
fn ask(name: &str, kind: RecordType) -> Message {
    reply_to(&question(name, kind), &table())
}

#[track_caller]
fn code(name: &str, kind: RecordType) -> ResponseCode {
    let reply = ask(name, kind);
    assert!(reply.answers.is_empty(), "{name} {kind}");
    reply.metadata.response_code
}

fn address_in(reply: &Message) -> Ipv4Addr {
    let [record] = reply.answers.as_slice() else { panic!("one answer: {reply:?}") };
    let RData::A(A(address)) = record.data else { panic!("an address: {record:?}") };
    assert_eq!(record.ttl, TTL);
    address
}

#[test]
fn a_name_gets_a_synthetic_address() {
    let names = table();
    let query = question("Api.GitHub.com.", RecordType::A);
    let reply = reply_to(&query, &names);
    let address = address_in(&reply);
    assert!(names::is_synthetic(address.into()));
    assert_eq!(names.name_of(address.into()).as_deref(), Some("api.github.com"));
    assert_eq!(reply.metadata.id, 0x1234);
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
    assert!(reply.metadata.recursion_desired && reply.metadata.recursion_available);
}

#[test]
fn the_question_comes_back_in_its_own_spelling() {
    let reply = ask("aPi.GitHub.com.", RecordType::A);
    assert_eq!(reply.queries[0].name().to_ascii(), "aPi.GitHub.com.");
    assert_eq!(reply.answers[0].name.to_ascii(), "aPi.GitHub.com.");
}

#[test]
fn a_name_is_new_once() {
    let names = table();
    let query = question("a.example.", RecordType::A).to_vec().unwrap();
    let (name, address) = answer(&query, &names).unwrap().new_name.unwrap();
    assert_eq!(&*name, "a.example");
    assert_eq!(names.name_of(address.into()).as_deref(), Some("a.example"));
    assert_eq!(answer(&query, &names).unwrap().new_name, None);
}

#[test]
fn single_labels_resolve() {
    address_in(&ask("intranet.", RecordType::A));
}

#[test]
fn other_host_records_exist_without_data() {
    for kind in [RecordType::AAAA, RecordType::HTTPS, RecordType::SVCB] {
        assert_eq!(code("a.example.", kind), ResponseCode::NoError, "{kind}");
    }
}

#[test]
fn no_question_but_for_an_address_takes_one() {
    let names = table();
    reply_to(&question("a.example.", RecordType::AAAA), &names);
    assert!(names.address_of("a.example").unwrap().1);
}

#[test]
fn localhost_is_the_loopback() {
    for name in ["localhost.", "LOCALHOST.", "app.localhost."] {
        assert_eq!(address_in(&ask(name, RecordType::A)), Ipv4Addr::LOCALHOST);
        let reply = ask(name, RecordType::AAAA);
        assert_eq!(reply.answers[0].data, RData::AAAA(AAAA(Ipv6Addr::LOCALHOST)));
    }
    assert_ne!(address_in(&ask("notlocalhost.", RecordType::A)), Ipv4Addr::LOCALHOST);
}

#[test]
fn invalid_names_do_not_exist_but_for_the_probe() {
    for name in ["invalid.", "a.invalid.", "a.probe.authsome.invalid."] {
        assert_eq!(code(name, RecordType::A), ResponseCode::NXDomain);
        assert_eq!(code(name, RecordType::AAAA), ResponseCode::NXDomain);
    }
    let probe = address_in(&ask("Probe.authsome.invalid.", RecordType::A));
    assert!(names::is_synthetic(probe.into()));
    address_in(&ask("notinvalid.", RecordType::A));
}

#[test]
fn what_cannot_be_a_host_does_not_exist() {
    for name in [".", "*.example.", "1.2.3.4."] {
        assert_eq!(code(name, RecordType::A), ResponseCode::NXDomain, "{name}");
    }
}

#[test]
fn labels_with_odd_bytes_are_no_host() {
    for label in [&b"a.b"[..], b"a b", b"a\0b", b"\xff", b"a\\b"] {
        let mut query = question("a.example.", RecordType::A);
        query.queries[0].set_name(Name::from_labels([label, b"example"]).unwrap());
        let reply = reply_to(&query, &table());
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain, "{label:?}");
        assert!(reply.answers.is_empty());
    }
}

#[test]
fn an_address_points_back_to_its_name() {
    let names = table();
    assert_eq!(names.address_of("a.example").unwrap().0, Ipv4Addr::new(198, 18, 0, 1));
    for spelling in ["1.0.18.198.in-addr.arpa.", "1.0.18.198.IN-ADDR.arpa."] {
        let reply = reply_to(&question(spelling, RecordType::PTR), &names);
        assert_eq!(reply.answers[0].data.to_string(), "a.example.");
    }
    let reply = reply_to(&question("1.0.0.127.in-addr.arpa.", RecordType::PTR), &names);
    assert_eq!(reply.answers[0].data.to_string(), "localhost.");
}

#[test]
fn other_addresses_have_no_name() {
    for name in [
        "2.0.18.198.in-addr.arpa.",
        "8.8.8.8.in-addr.arpa.",
        "8.8.8.in-addr.arpa.",
        "1.1.0.18.198.in-addr.arpa.",
        "256.0.18.198.in-addr.arpa.",
        "in-addr.arpa.",
        "a.example.",
        "1.0.ip6.arpa.",
    ] {
        assert_eq!(code(name, RecordType::PTR), ResponseCode::NXDomain, "{name}");
    }
}

#[test]
fn other_types_are_refused() {
    for kind in [
        RecordType::ANY,
        RecordType::TXT,
        RecordType::MX,
        RecordType::SRV,
        RecordType::NS,
        RecordType::SOA,
        RecordType::CNAME,
        RecordType::AXFR,
        RecordType::Unknown(65280),
    ] {
        assert_eq!(code("a.example.", kind), ResponseCode::Refused, "{kind}");
    }
}

#[test]
fn other_classes_are_refused() {
    for class in [DNSClass::CH, DNSClass::HS, DNSClass::ANY] {
        let mut query = question("version.bind.", RecordType::A);
        query.queries[0].set_query_class(class);
        let reply = reply_to(&query, &table());
        assert_eq!(reply.metadata.response_code, ResponseCode::Refused);
        assert!(reply.answers.is_empty());
    }
}

#[test]
fn other_operations_are_not_implemented() {
    for op_code in [OpCode::Status, OpCode::Notify] {
        let mut query = question("a.example.", RecordType::A);
        query.metadata.op_code = op_code;
        let reply = reply_to(&query, &table());
        assert_eq!(reply.metadata.response_code, ResponseCode::NotImp);
    }
}

#[test]
fn edns_is_answered_with_edns() {
    let mut query = question("a.example.", RecordType::A);
    assert_eq!(reply_to(&query, &table()).edns, None);
    let mut edns = Edns::new();
    edns.set_max_payload(4096).set_dnssec_ok(true);
    query.set_edns(edns);
    let ours = reply_to(&query, &table()).edns.unwrap();
    assert_eq!((ours.version(), ours.max_payload()), (0, UDP_PAYLOAD));
    assert!(ours.flags().dnssec_ok);
}

#[test]
fn an_unknown_edns_version_is_named_as_such() {
    let mut query = question("a.example.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_version(1);
    query.set_edns(edns);
    let reply = reply_to(&query, &table());
    assert_eq!(u16::from(reply.metadata.response_code), u16::from(ResponseCode::BADVERS));
    assert!(reply.answers.is_empty());
}

#[test]
fn any_number_of_questions_but_one_is_an_error() {
    let mut query = question("a.example.", RecordType::A);
    query.add_query(Query::query(Name::from_ascii("b.example.").unwrap(), RecordType::A));
    assert_eq!(reply_to(&query, &table()).metadata.response_code, ResponseCode::FormErr);
    query.queries.clear();
    assert_eq!(reply_to(&query, &table()).metadata.response_code, ResponseCode::FormErr);
}

#[test]
fn replies_are_not_replied_to() {
    let mut query = question("a.example.", RecordType::A);
    query.metadata.message_type = MessageType::Response;
    assert_eq!(answer(&query.to_vec().unwrap(), &table()), None);
}

#[test]
fn every_prefix_of_a_query_is_an_error_or_nothing() {
    let query = question("api.github.com.", RecordType::A).to_vec().unwrap();
    for end in 0..query.len() {
        let answer = answer(&query[..end], &table());
        if end < HEADER {
            assert_eq!(answer, None);
        } else {
            let reply = Message::from_vec(&answer.unwrap().bytes).unwrap();
            assert_eq!(reply.metadata.response_code, ResponseCode::FormErr);
            assert_eq!(reply.metadata.id, 0x1234);
        }
    }
}

#[test]
fn a_name_that_points_at_itself_is_an_error() {
    let mut query = question("a.", RecordType::A).to_vec().unwrap();
    query.splice(HEADER..HEADER + 3, [0xc0, 12]);
    let reply = Message::from_vec(&answer(&query, &table()).unwrap().bytes).unwrap();
    assert_eq!(reply.metadata.response_code, ResponseCode::FormErr);
}

#[test]
fn the_longest_name_is_answered_in_512_bytes() {
    let longest = ["abcdefg"; 31].join(".") + ".abcd.";
    let names = table();
    let mut query = question(&longest, RecordType::A);
    query.set_edns(Edns::new());
    address_in(&reply_to(&query, &names));
    let reply = reply_to(&question("1.0.18.198.in-addr.arpa.", RecordType::PTR), &names);
    assert_eq!(reply.answers[0].data.to_string(), longest);
}

#[test]
fn an_exhausted_table_is_a_server_failure() {
    let known = (0..512_u32 * 256)
        .map(|offset| (format!("h{offset}.example"), Ipv4Addr::from(0xc612_0000 + offset)));
    let names = NameTable::new(known.collect());
    let reply = reply_to(&question("new.example.", RecordType::A), &names);
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    address_in(&reply_to(&question("h1.example.", RecordType::A), &names));
}
