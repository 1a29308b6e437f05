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

#ifdef __clang__
template <int... I> struct Lanes {};
template <int N, int... I> struct Count : Count<N - 1, N - 1, I...> {};
template <int... I> struct Count<0, I...> { typedef Lanes<I...> type; };
template <int... I> INLINE Vector pick_low(Vector a, Vector b, Lanes<I...>) {
    return __builtin_shufflevector(a, b, (I / 2 + I % 2 * LANES)...);
}
template <int... I> INLINE Vector pick_high(Vector a, Vector b, Lanes<I...>) {
    return __builtin_shufflevector(a, b, (LANES / 2 + I / 2 + I % 2 * LANES)...);
}
template <int FIRST, int... I> INLINE Vector pick_each(Vector a, Lanes<I...>) {
    return __builtin_shufflevector(a, Vector{}, (I < LANES / 2 ? FIRST + 2 * I : LANES)...);
}
INLINE Vector low(Vector a, Vector b) { return pick_low(a, b, Count<LANES>::type()); }
INLINE Vector high(Vector a, Vector b) { return pick_high(a, b, Count<LANES>::type()); }
template <int FIRST> INLINE Vector every_other(Vector a) { return pick_each<FIRST>(a, Count<LANES>::type()); }
#else
INLINE Integers places(int first) {
    Integers at = {};
    UNROLL for (int i = 0; i < LANES; ++i) at[i] = first + i / 2 + i % 2 * LANES;
    return at;
}
INLINE Integers each(int first) {
    Integers at = {};
    UNROLL for (int i = 0; i < LANES; ++i) at[i] = i < LANES / 2 ? first + 2 * i : LANES;
    return at;
}
INLINE Vector low(Vector a, Vector b) { return __builtin_shuffle(a, b, places(0)); }           // a0 b0 a1 b1 ...
INLINE Vector high(Vector a, Vector b) { return __builtin_shuffle(a, b, places(LANES / 2)); }  // the upper halves
template <int FIRST> INLINE Vector every_other(Vector a) { return __builtin_shuffle(a, Vector{}, each(FIRST)); }
#endif

INLINE Integers lanes() {
    Integers at = {};
    UNROLL for (int i = 0; i < LANES; ++i) at[i] = i;
    return at;
}

// A vector each of whose lanes is all lanes of v together.
template <class Join> INLINE Vector over_lanes(Vector v, Join join) {
    UNROLL for (int some = 1; some < LANES; some *= 2) v = join(low(v, v), high(v, v));
    return v;
}

}  // namespace
