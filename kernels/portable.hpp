// What a header needs to compile for both devices: GG_HD in front of each function. Arithmetic that
// must give the same bits on both is written with +, -, *, / and fused nothing: every target builds
// with contraction off (-ffp-contract=off, -fmad=false).
#pragma once

#ifdef __CUDACC__
#define GG_HD __host__ __device__
#define GG_UNROLL _Pragma("unroll")
#else
#define GG_HD
#define GG_UNROLL  // only nvcc keeps arrays in registers by it
#endif
