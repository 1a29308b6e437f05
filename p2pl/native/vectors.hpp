// Vectors of the compiler's own types, as long as the instruction set has them, and how their lanes change places.
//
// Compiled once for each instruction set: all in an anonymous namespace, nothing inline from the standard library, so
// that the linker cannot put one set's code in the place of another's.
#pragma once
#include <stdint.h>
#include <string.h>

namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16, REGISTERS = 32;
#elif defined(__AVX2__)
constexpr int LANES = 8, REGISTERS = 16;
#else
constexpr int LANES = 4, REGISTERS = 16;
#endif
constexpr int64_t LINE = 16;   // floats in a cache line
constexpr int64_t CHUNK = 64;  // inputs that go together: a bit of a 64-bit word for each

typedef float Vector __attribute__((vector_size(LANES * 4)));
typedef int32_t Integers __attribute__((vector_size(LANES * 4)));
typedef int64_t Pairs __attribute__((vector_size(LANES * 4)));
typedef float Loose __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

INLINE Vector load(const float* from) { return *reinterpret_cast<const Loose*>(from); }
INLINE void store(float* to, Vector value) { *reinterpret_cast<Loose*>(to) = value; }
INLINE Vector all(float value) { return value - Vector{}; }

// How two vectors become one; HALF: which of two.
enum Shuffle {
    JOIN,   // a0 b0 a1 b1 ..., from the lower lanes or the upper ones
    SPLIT,  // a0 a2 a4 ... or a1 a3 a5 ..., then b0 in all other lanes
    ONES,   // within each four lanes a0 b0 a1 b1 or a2 b2 a3 b3
    TWOS,   // the same: a0 a1 b0 b1 or a2 a3 b2 b3
    FOURS   // every other four of a, then of b
};

// Which lane comes to lane i: one of a, or after LANES of b.
template <Shuffle KIND, int HALF> constexpr int32_t source(int i) {
    constexpr int fours = LANES > 4 ? LANES / 8 : 1;
    if (KIND == JOIN) return i / 2 + i % 2 * LANES + HALF * LANES / 2;
    if (KIND == SPLIT) return i < LANES / 2 ? 2 * i + HALF : LANES;
    if (KIND == ONES) return i / 4 * 4 + i % 4 / 2 + i % 2 * LANES + HALF * 2;
    if (KIND == TWOS) return i / 4 * 4 + i % 2 + i % 4 / 2 * LANES + HALF * 2;
    return i / 4 % fours * 8 + HALF * 4 + i % 4 + i / 4 / fours * LANES;
}

#ifdef __clang__
template <int... I> struct Lanes {};
template <int N, int... I> struct Count : Count<N - 1, N - 1, I...> {};
template <int... I> struct Count<0, I...> { typedef Lanes<I...> type; };
template <Shuffle KIND, int HALF, int... I> INLINE Vector pick(Vector a, Vector b, Lanes<I...>) {
    return __builtin_shufflevector(a, b, source<KIND, HALF>(I)...);
}
template <Shuffle KIND, int HALF> INLINE Vector shuffle(Vector a, Vector b) {
    return pick<KIND, HALF>(a, b, Count<LANES>::type());
}
#else
template <Shuffle KIND, int HALF> INLINE Vector shuffle(Vector a, Vector b) {
    Integers from = {};
    UNROLL for (int i = 0; i < LANES; ++i) from[i] = source<KIND, HALF>(i);
    return __builtin_shuffle(a, b, from);
}
#endif

INLINE Integers lanes() {
    Integers at = {};
    UNROLL for (int i = 0; i < LANES; ++i) at[i] = i;
    return at;
}

// A vector each of whose lanes is all lanes of v together.
template <class Join> INLINE Vector over_lanes(Vector v, Join join) {
    UNROLL for (int some = 1; some < LANES; some *= 2) v = join(shuffle<JOIN, 0>(v, v), shuffle<JOIN, 1>(v, v));
    return v;
}

}  // namespace
