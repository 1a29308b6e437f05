// The first layer on inputs of which most are zero: only the others are multiplied. A mask has a bit for each of the
// inputs of a chunk (forward), or for each sample of the batch (update).
#pragma once
#include "kernels.hpp"

namespace {

constexpr int WIDEST = REGISTERS == 32 ? 16 : 12;  // vectors of one row that stay in registers

// One sample; x has only the inputs that are not zero. They are noted, input by input, for the update: the sample's bit
// in `who`, their values in the sample's column of `column`.
template <int WIDTH>
void sparse_forward(uint64_t mask, const float* x, const float* w, int64_t stride, float* z, uint64_t* who,
                    uint64_t bit, float* column, int64_t n) {
    Vector sum[WIDTH] = {};
    for (; mask; mask &= mask - 1) {
        const int64_t k = __builtin_ctzll(mask);
        const float value = *x++, *row = w + k * stride;
        who[k] |= bit, column[k * n] = value;
        UNROLL for (int j = 0; j < WIDTH; ++j) sum[j] += value * load(row + j * LANES);
    }
    UNROLL for (int j = 0; j < WIDTH; ++j) store(z + j * LANES, load(z + j * LANES) + sum[j]);
}

// One row of weights; x[r] is its input in sample r, if the mask has it.
template <int WIDTH>
void sparse_update(const Step& step, uint64_t mask, const float* x, const float* delta, int64_t stride,
                   float* w, float* v) {
    Vector sum[WIDTH] = {};
    if (step.plain)
        UNROLL for (int j = 0; j < WIDTH; ++j) sum[j] = load(v + j * LANES);
    for (; mask; mask &= mask - 1) {
        const int64_t r = __builtin_ctzll(mask);
        const float value = x[r], *error = delta + r * stride;
        UNROLL for (int j = 0; j < WIDTH; ++j) sum[j] += value * load(error + j * LANES);
    }
    if (!step.plain) {
        UNROLL for (int j = 0; j < WIDTH; ++j) descend(step, sum[j], w + j * LANES, v + j * LANES, nullptr);
        return;
    }
    Vector next[WIDTH];
    UNROLL for (int j = 0; j < WIDTH; ++j) next[j] = step.keep * sum[j];
    UNROLL for (int j = 0; j < WIDTH; ++j) store(w + j * LANES, load(w + j * LANES) - sum[j]);
    UNROLL for (int j = 0; j < WIDTH; ++j) store(v + j * LANES, next[j]);
}

template <int WIDTH = WIDEST, class... Rest>
INLINE void sparse_forward_of(int64_t width, Rest... rest) {
    if constexpr (WIDTH > 1) {
        if (width < WIDTH) return sparse_forward_of<WIDTH - 1>(width, rest...);
    }
    sparse_forward<WIDTH>(rest...);
}

template <int WIDTH = WIDEST, class... Rest>
INLINE void sparse_update_of(int64_t width, const Step& step, Rest... rest) {
    if constexpr (WIDTH > 1) {
        if (width < WIDTH) return sparse_update_of<WIDTH - 1>(width, step, rest...);
    }
    sparse_update<WIDTH>(step, rest...);
}

}  // namespace
