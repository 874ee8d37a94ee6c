// SPDX-License-Identifier: Apache-2.0
// The named kernels as PTX text, for every GPU since 2014: the driver compiles it for the one that
// is there. Multiplications and additions are rounded each (mul.rn, add.rn), never fused, in the
// order of cpu_kernels.cpp, so that the results are the same bits.
#pragma once

namespace mimic::mediator::backend {

inline constexpr unsigned kCudaBlock = 256;       // threads of a block, but for mimic_gemm
inline constexpr unsigned kCudaSumOfBlock = 512;  // elements that a block of mimic_reduce_sum adds
inline constexpr unsigned kCudaTile = 16;         // threads of a block of mimic_gemm, each way

// The index of a thread and the number of all threads: a loop over all elements needs no grid of a
// certain size.
#define MIMIC_PTX_INDEX                                                                           \
    "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mov.u32 %r4, %nctaid.x;\n" \
    "mul.wide.u32 %rd10, %r1, %r2; cvt.u64.u32 %rd11, %r3; add.u64 %rd10, %rd10, %rd11;\n"        \
    "mul.wide.u32 %rd11, %r4, %r2;\n"

inline constexpr char kCudaKernels[] =
    ".version 6.0\n"
    ".target sm_50\n"
    ".address_size 64\n"

    // out[i] = a[i] + b[i], i < n
    ".visible .entry mimic_vector_add(.param .u64 p0, .param .u64 p1, .param .u64 p2,\n"
    "                                 .param .u64 p3)\n"
    "{\n"
    ".reg .pred %p<2>; .reg .b32 %r<5>; .reg .b64 %rd<16>; .reg .f32 %f<4>;\n"
    "ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1]; ld.param.u64 %rd3, [p2];\n"
    "ld.param.u64 %rd4, [p3];\n" MIMIC_PTX_INDEX
    "NEXT:\n"
    "setp.ge.u64 %p1, %rd10, %rd4;\n"
    "@%p1 bra END;\n"
    "shl.b64 %rd12, %rd10, 2;\n"
    "add.u64 %rd13, %rd2, %rd12; ld.global.f32 %f1, [%rd13];\n"
    "add.u64 %rd13, %rd3, %rd12; ld.global.f32 %f2, [%rd13];\n"
    "add.rn.f32 %f3, %f1, %f2;\n"
    "add.u64 %rd13, %rd1, %rd12; st.global.f32 [%rd13], %f3;\n"
    "add.u64 %rd10, %rd10, %rd11;\n"
    "bra NEXT;\n"
    "END: ret;\n"
    "}\n"

    // y[i] += s * x[i], i < n: y x n s
    ".visible .entry mimic_saxpy(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .f32 p3)\n"
    "{\n"
    ".reg .pred %p<2>; .reg .b32 %r<5>; .reg .b64 %rd<16>; .reg .f32 %f<5>;\n"
    "ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1]; ld.param.u64 %rd4, [p2];\n"
    "ld.param.f32 %f4, [p3];\n" MIMIC_PTX_INDEX
    "NEXT:\n"
    "setp.ge.u64 %p1, %rd10, %rd4;\n"
    "@%p1 bra END;\n"
    "shl.b64 %rd12, %rd10, 2;\n"
    "add.u64 %rd13, %rd2, %rd12; ld.global.f32 %f1, [%rd13];\n"
    "add.u64 %rd13, %rd1, %rd12; ld.global.f32 %f2, [%rd13];\n"
    "mul.rn.f32 %f3, %f4, %f1;\n"
    "add.rn.f32 %f3, %f2, %f3;\n"
    "st.global.f32 [%rd13], %f3;\n"
    "add.u64 %rd10, %rd10, %rd11;\n"
    "bra NEXT;\n"
    "END: ret;\n"
    "}\n"

    // c[i][j] = sum over k of a[i][k] * b[k][j], in ascending order, from 0: c a b m n k. m x n are
    // the rows of this launch and all columns.
    ".visible .entry mimic_gemm(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u64 p3,\n"
    "                           .param .u64 p4, .param .u64 p5)\n"
    "{\n"
    ".reg .pred %p<3>; .reg .b32 %r<8>; .reg .b64 %rd<20>; .reg .f32 %f<5>;\n"
    "ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1]; ld.param.u64 %rd3, [p2];\n"
    "ld.param.u64 %rd4, [p3]; ld.param.u64 %rd5, [p4]; ld.param.u64 %rd6, [p5];\n"
    "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x;\n"
    "mul.wide.u32 %rd10, %r1, %r2; cvt.u64.u32 %rd11, %r3; add.u64 %rd10, %rd10, %rd11;\n"
    "mov.u32 %r4, %ctaid.y; mov.u32 %r5, %ntid.y; mov.u32 %r6, %tid.y;\n"
    "mul.wide.u32 %rd12, %r4, %r5; cvt.u64.u32 %rd11, %r6; add.u64 %rd12, %rd12, %rd11;\n"
    "setp.ge.u64 %p1, %rd10, %rd5;\n"  // column
    "setp.ge.u64 %p2, %rd12, %rd4;\n"  // row
    "or.pred %p1, %p1, %p2;\n"
    "@%p1 bra END;\n"
    "mul.lo.u64 %rd13, %rd12, %rd6; shl.b64 %rd13, %rd13, 2; add.u64 %rd13, %rd2, %rd13;\n"
    "shl.b64 %rd14, %rd10, 2; add.u64 %rd14, %rd3, %rd14;\n"
    "shl.b64 %rd15, %rd5, 2;\n"
    "mov.f32 %f1, 0f00000000;\n"
    "mov.u64 %rd16, 0;\n"
    "NEXT:\n"
    "setp.ge.u64 %p1, %rd16, %rd6;\n"
    "@%p1 bra STORE;\n"
    "ld.global.f32 %f2, [%rd13]; ld.global.f32 %f3, [%rd14];\n"
    "mul.rn.f32 %f4, %f2, %f3;\n"
    "add.rn.f32 %f1, %f1, %f4;\n"
    "add.u64 %rd13, %rd13, 4; add.u64 %rd14, %rd14, %rd15; add.u64 %rd16, %rd16, 1;\n"
    "bra NEXT;\n"
    "STORE:\n"
    "mul.lo.u64 %rd17, %rd12, %rd5; add.u64 %rd17, %rd17, %rd10; shl.b64 %rd17, %rd17, 2;\n"
    "add.u64 %rd17, %rd1, %rd17;\n"
    "st.global.f32 [%rd17], %f1;\n"
    "END: ret;\n"
    "}\n"

    // out[block] = pairwise sum of that block's 512 of n elements; an odd last one goes up as it
    // is: out x n
    ".visible .entry mimic_reduce_sum(.param .u64 p0, .param .u64 p1, .param .u64 p2)\n"
    "{\n"
    ".reg .pred %p<4>; .reg .b32 %r<16>; .reg .b64 %rd<16>; .reg .f32 %f<4>;\n"
    ".shared .align 4 .b8 sums[2048];\n"
    "ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1]; ld.param.u64 %rd3, [p2];\n"
    "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %tid.x;\n"
    "mov.u32 %r3, sums;\n"
    "mul.wide.u32 %rd4, %r1, 512;\n"  // the first of this block
    "sub.u64 %rd5, %rd3, %rd4;\n"     // how many there are from it on
    "min.u64 %rd5, %rd5, 512;\n"
    "cvt.u32.u64 %r4, %rd5;\n"
    "shl.b64 %rd6, %rd4, 2; add.u64 %rd6, %rd2, %rd6;\n"
    "mul.wide.u32 %rd7, %r2, 4; add.u64 %rd6, %rd6, %rd7;\n"
    "shl.b32 %r5, %r2, 2; add.u32 %r6, %r3, %r5;\n"  // the thread's place
    "setp.ge.u32 %p1, %r2, %r4;\n"
    "@%p1 bra LOADED;\n"
    "ld.global.f32 %f1, [%rd6]; st.shared.f32 [%r6], %f1;\n"
    "add.u32 %r7, %r2, 256;\n"
    "setp.ge.u32 %p1, %r7, %r4;\n"
    "@%p1 bra LOADED;\n"
    "ld.global.f32 %f1, [%rd6+1024]; st.shared.f32 [%r6+1024], %f1;\n"
    "LOADED:\n"
    "bar.sync 0;\n"
    "shl.b32 %r8, %r2, 3; add.u32 %r8, %r3, %r8;\n"  // its pair's
    "shl.b32 %r9, %r2, 1; add.u32 %r9, %r9, 1;\n"    // the index of the pair's second
    "FOLD:\n"
    "setp.le.u32 %p1, %r4, 1;\n"
    "@%p1 bra STORE;\n"
    "add.u32 %r10, %r4, 1; shr.u32 %r10, %r10, 1;\n"  // half, rounded up
    "setp.ge.u32 %p2, %r2, %r10;\n"
    "@%p2 bra TAKEN;\n"
    "ld.shared.f32 %f1, [%r8];\n"
    "setp.ge.u32 %p3, %r9, %r4;\n"
    "@%p3 bra TAKEN;\n"
    "ld.shared.f32 %f2, [%r8+4];\n"
    "add.rn.f32 %f1, %f1, %f2;\n"
    "TAKEN:\n"
    "bar.sync 0;\n"
    "@%p2 bra GIVEN;\n"
    "st.shared.f32 [%r6], %f1;\n"
    "GIVEN:\n"
    "bar.sync 0;\n"
    "mov.u32 %r4, %r10;\n"
    "bra FOLD;\n"
    "STORE:\n"
    "setp.ne.u32 %p1, %r2, 0;\n"
    "@%p1 bra END;\n"
    "ld.shared.f32 %f1, [%r3];\n"
    "mul.wide.u32 %rd8, %r1, 4; add.u64 %rd8, %rd1, %rd8;\n"
    "st.global.f32 [%rd8], %f1;\n"
    "END: ret;\n"
    "}\n"

    // state[0] goes on over n bytes, as FNV-1a: state x n. One thread: each byte needs the one
    // before.
    ".visible .entry mimic_checksum(.param .u64 p0, .param .u64 p1, .param .u64 p2)\n"
    "{\n"
    ".reg .pred %p<2>; .reg .b32 %r<2>; .reg .b64 %rd<10>;\n"
    "ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1]; ld.param.u64 %rd3, [p2];\n"
    "ld.global.u64 %rd4, [%rd1];\n"
    "add.u64 %rd5, %rd2, %rd3;\n"
    "NEXT:\n"
    "setp.ge.u64 %p1, %rd2, %rd5;\n"
    "@%p1 bra END;\n"
    "ld.global.u8 %r1, [%rd2]; cvt.u64.u32 %rd6, %r1;\n"
    "xor.b64 %rd4, %rd4, %rd6;\n"
    "mul.lo.u64 %rd4, %rd4, 0x100000001b3;\n"
    "add.u64 %rd2, %rd2, 1;\n"
    "bra NEXT;\n"
    "END:\n"
    "st.global.u64 [%rd1], %rd4;\n"
    "ret;\n"
    "}\n"

    // Busy for so many ns of the GPU's timer.
    ".visible .entry mimic_spin(.param .u64 p0)\n"
    "{\n"
    ".reg .pred %p<2>; .reg .b64 %rd<5>;\n"
    "ld.param.u64 %rd1, [p0];\n"
    "mov.u64 %rd2, %globaltimer;\n"
    "NEXT:\n"
    "mov.u64 %rd3, %globaltimer;\n"
    "sub.u64 %rd4, %rd3, %rd2;\n"
    "setp.lt.u64 %p1, %rd4, %rd1;\n"
    "@%p1 bra NEXT;\n"
    "ret;\n"
    "}\n";

#undef MIMIC_PTX_INDEX

}  // namespace mimic::mediator::backend
