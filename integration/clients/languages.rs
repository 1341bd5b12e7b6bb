//! What languages bring to speak HTTPS with, but for Python and JavaScript.

use super::{account::OPENAI, row::Row, variants::URL};

const GROUP: &str = "languages";

fn java(name: &'static str, program: &str) -> Row {
    let program = format!(
        "public class Get {{ public static void main(String[] a) throws Exception {{ {program} }} }}"
    );
    Row::new(GROUP, name, OPENAI, ["java", "Get.java"]).file("Get.java", program)
}

#[test]
fn java_url_connection() {
    let program = format!(
        "var c = (javax.net.ssl.HttpsURLConnection) new java.net.URL(\"{URL}\").openConnection(); \
         System.exit(c.getResponseCode() == 200 ? 0 : 1);"
    );
    java("java HttpsURLConnection", &program).check();
}

#[test]
fn java_http_client() {
    let program = format!(
        "var request = java.net.http.HttpRequest.newBuilder(java.net.URI.create(\"{URL}\")).build(); \
         var text = java.net.http.HttpResponse.BodyHandlers.ofString(); \
         var client = java.net.http.HttpClient.newHttpClient(); \
         System.exit(client.send(request, text).statusCode() == 200 ? 0 : 1);"
    );
    java("java HttpClient", &program).speaks("h2").check();
}

#[test]
fn ruby() {
    let script = format!(
        "require 'net/http'; exit Net::HTTP.get_response(URI('{URL}')).is_a?(Net::HTTPSuccess)"
    );
    Row::new(GROUP, "ruby net/http", OPENAI, ["ruby", "-e", &script]).check();
}

#[test]
fn perl_lwp() {
    let script = format!(
        "use LWP::UserAgent; my $r = LWP::UserAgent->new->get('{URL}'); \
         print $r->status_line; exit !$r->is_success"
    );
    Row::new(GROUP, "perl LWP", OPENAI, ["perl", "-e", &script]).check();
}

#[test]
fn perl_tiny() {
    let script = format!(
        "use HTTP::Tiny; my $r = HTTP::Tiny->new(verify_SSL => 1)->get('{URL}'); \
         print $r->{{content}}; exit !$r->{{success}}"
    );
    Row::new(GROUP, "perl HTTP::Tiny", OPENAI, ["perl", "-e", &script]).check();
}

#[test]
fn php_streams() {
    let script = format!("exit(file_get_contents('{URL}') === false ? 1 : 0);");
    Row::new(GROUP, "php streams", OPENAI, ["php", "-r", &script]).check();
}

#[test]
fn php_curl() {
    let script = format!("exit(curl_exec(curl_init('{URL}')) === false ? 1 : 0);");
    Row::new(GROUP, "php curl", OPENAI, ["php", "-r", &script]).speaks("h2").check();
}
