// GG_MULTIVERSION: the compiler makes a function for AVX-512, AVX2 and plain x86-64 and the right
// one is taken when the program starts, so one binary runs everywhere. Put it on plain functions
// over raw pointers (lambdas and templates inside are not cloned). -ffp-contract=off keeps the
// arithmetic the same in each; sums differ by the order that vector width gives them.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define GG_MULTIVERSION \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define GG_MULTIVERSION
#endif
