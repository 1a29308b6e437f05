// FOLD rows of weights in one vector. One, as a rule: row k's lanes. But where a row's last vector holds no more than
// half its lanes, two neighbouring rows share one, or a network of 200 units would pay for 208:
//
//   two rows   a0 b0 a1 b1 ...     an input  x_a x_b x_a x_b ...     an error  d0 d0 d1 d1 ...
#pragma once
#include "vectors.hpp"

namespace {

// The vector of rows at `from`, `stride` apart.
template <int FOLD> INLINE Vector rows_at(const float* from, int64_t stride) {
    if constexpr (FOLD == 1) return load(from);
    else return shuffle<JOIN, 0>(load(from), load(from + stride));
}

// Back to where it came from; beyond a half row are zeros.
template <int FOLD> INLINE void put_rows(float* to, int64_t stride, Vector value) {
    if constexpr (FOLD == 1) store(to, value);
    else store(to, shuffle<SPLIT, 0>(value, Vector{})), store(to + stride, shuffle<SPLIT, 1>(value, Vector{}));
}

// What such rows are multiplied with: FOLD inputs, one after another.
template <int FOLD> INLINE Vector inputs_at(const float* x) {
    if constexpr (FOLD == 1) return all(*x);
    int64_t two;
    memcpy(&two, x, 8);
    return reinterpret_cast<Vector>(two - Pairs{});
}

// Errors of the outputs, for all rows of a vector; and a row of sums over them.
template <int FOLD> INLINE Vector for_rows(Vector errors) {
    return FOLD == 1 ? errors : shuffle<JOIN, 0>(errors, errors);
}
template <int FOLD> INLINE Vector over_rows(Vector sum) {
    return FOLD == 1 ? sum : shuffle<SPLIT, 0>(sum, Vector{}) + shuffle<SPLIT, 1>(sum, Vector{});
}

// The vectors of a row of `out` weights: whole ones, and perhaps a last one that is to be folded.
struct Vectors {
    int64_t whole;
    bool half;

    INLINE explicit Vectors(int64_t out) : half(out % LANES && out % LANES <= LANES / 2) {
        whole = (out + LANES - 1) / LANES - half;
    }
};

}  // namespace
