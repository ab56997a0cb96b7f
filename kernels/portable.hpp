// What a header needs to compile for both devices: GG_HD in front of each function. Arithmetic that
// must give the same bits on both is written with +, -, *, / and fused nothing: every target builds
// with contraction off (-ffp-contract=off, -fmad=false).
#pragma once

#ifdef __CUDACC__
#define GG_HD __host__ __device__
#define GG_UNROLL _Pragma("unroll")
#define GG_UNROLL_BY(n) GG_PRAGMA(unroll n)
#define GG_PRAGMA(text) _Pragma(#text)
#else
#define GG_HD
#define GG_UNROLL  // only nvcc keeps arrays in registers by it
#define GG_UNROLL_BY(n)
#endif
