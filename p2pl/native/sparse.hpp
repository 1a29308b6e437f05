// The first layer on inputs of which most are zero: only the others are multiplied. A mask has a bit for each of the
// inputs of a chunk (forward), or for each sample of the batch (update).
#pragma once
#include "update.hpp"

namespace {

constexpr int WIDEST = REGISTERS == 32 ? 16 : 12;  // vectors of one row that stay in registers

// One sample; x has only the inputs that are not zero. They are noted, input by input, for the update: the sample's bit
// in `who`, their values in the sample's column of `column`.
template <int WIDTH>
void sparse_forward(uint64_t mask, const float* x, const float* w, int64_t stride, float* z, uint64_t* who,
                    uint64_t bit, float* column, int64_t n) {
    Vector sum[WIDTH];
    UNROLL for (int j = 0; j < WIDTH; ++j) sum[j] = load(z + j * LANES);
    for (; mask; mask &= mask - 1) {
        const int64_t k = __builtin_ctzll(mask);
        const float value = *x++, *row = w + k * stride;
        who[k] |= bit, column[k * n] = value;
        UNROLL for (int j = 0; j < WIDTH; ++j) sum[j] += value * load(row + j * LANES);
    }
    UNROLL for (int j = 0; j < WIDTH; ++j) store(z + j * LANES, sum[j]);
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

// All `rows` of a chunk that have an input in FEW samples each, of any width: with their places at hand each vector is
// done at once, and stores of one meet sums of the next. x: (CHUNK, n).
template <int FEW, bool PLAIN>
void update_few(const Step& given, uint64_t rows, const uint64_t* who, const float* x, int64_t n, const float* delta,
                int64_t stride, float* weight, float* velocity, int64_t vectors) {
    const Step step = given;  // no store changes it
    for (; rows; rows &= rows - 1) {
        const int64_t k = __builtin_ctzll(rows);
        uint64_t mask = who[k];
        float value[FEW];
        const float* error[FEW];
        UNROLL for (int i = 0; i < FEW; ++i, mask &= mask - 1) {
            const int64_t r = __builtin_ctzll(mask);
            value[i] = x[k * n + r], error[i] = delta + r * stride;
        }
        float *w = weight + k * stride, *v = velocity + k * stride;
        UNROLL for (int64_t o = 0; o < vectors * LANES; o += LANES) {
            Vector sum = {};
            if (PLAIN) sum = load(v + o);
            UNROLL for (int i = 0; i < FEW; ++i) sum += value[i] * load(error[i] + o);
            if (PLAIN) store(w + o, load(w + o) - sum), store(v + o, step.keep * sum);
            else descend(step, sum, w + o, v + o, nullptr);
        }
    }
}

constexpr int FEW_AT_MOST = 8;  // samples whose places fit in registers

// classes[i]: the rows that have an input in i samples each. One after another: the code for each is known in advance.
template <int FEW = FEW_AT_MOST, class... Rest>
INLINE void update_classes(const Step& step, const uint64_t* classes, Rest... rest) {
    if constexpr (FEW > 1) update_classes<FEW - 1>(step, classes, rest...);
    if (step.plain) update_few<FEW, true>(step, classes[FEW], rest...);
    else update_few<FEW, false>(step, classes[FEW], rest...);
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
