// What can go wrong in a decoder, by name: test programs serve it when they are started as a
// worker.
#pragma once

namespace gliograd::test {

/// Kinds: "echo" answers with the request's bytes; "text" with an Error of them; "die" aborts;
/// "exit" ends without an answer; "spin" never ends; "eat" takes memory until there is none. And
/// those of the program itself, for builds of these tests without it (tests_sanitized).
void serve_test_requests();

}  // namespace gliograd::test
