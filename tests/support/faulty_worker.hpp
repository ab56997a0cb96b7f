// What can go wrong in a decoder, by name: test programs serve it when they are started as a
// worker.
#pragma once

namespace gliograd::test {

/// Kinds: "echo" answers with the request's bytes; "text" with an Error of them; "die" aborts;
/// "exit" ends without an answer; "spin" never ends; "eat" takes memory until there is none.
void serve_faulty_requests();

}  // namespace gliograd::test
