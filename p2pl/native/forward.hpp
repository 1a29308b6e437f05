// The forward product, of small tiles that stay in registers. Weights lie as (inputs, outputs), rows padded to whole
// cache lines with zeros; inputs come in chunks of CHUNK: (chunks, samples, CHUNK).
//
//   Z[n][o] += sum_k X[n][k] W[k][o]      X broadcast, W by vectors of outputs; FOLD rows of W in one, see folds.hpp
#pragma once
#include "folds.hpp"

namespace {

// What inputs are multiplied with: w, or where v is not null w - v.
struct Weights {
    const float *w, *v;

    INLINE Weights at(int64_t place) const { return {w + place, v ? v + place : nullptr}; }
};

// z (ROWS of `stride`) += x (ROWS of CHUNK, `count` used) times as many rows of weights, COLUMNS vectors wide.
template <int ROWS, int COLUMNS, int FOLD, bool AHEAD>
void forward_tile(const float* x, Weights weights, int64_t count, float* z, int64_t stride) {
    Vector sum[ROWS][COLUMNS] = {};
    for (int64_t k = 0; k < count; k += FOLD) {
        Vector weight[COLUMNS];
        UNROLL for (int j = 0; j < COLUMNS; ++j) {
            const int64_t place = k * stride + j * LANES;
            weight[j] = rows_at<FOLD>(weights.w + place, stride);
            if (AHEAD) weight[j] -= rows_at<FOLD>(weights.v + place, stride);
        }
        UNROLL for (int r = 0; r < ROWS; ++r) {
            const Vector value = inputs_at<FOLD>(x + r * CHUNK + k);
            UNROLL for (int j = 0; j < COLUMNS; ++j) sum[r][j] += value * weight[j];
        }
    }
    UNROLL for (int r = 0; r < ROWS; ++r)
        UNROLL for (int j = 0; j < COLUMNS; ++j) {
            float* to = z + r * stride + j * LANES;
            store(to, load(to) + over_rows<FOLD>(sum[r][j]));
        }
}

template <int ROWS, int COLUMNS, int FOLD, bool AHEAD, class... Rest>
INLINE void forward_rows(int64_t rows, Rest... rest) {
    if constexpr (ROWS > 1) {
        if (rows < ROWS) return forward_rows<ROWS - 1, COLUMNS, FOLD, AHEAD>(rows, rest...);
    }
    forward_tile<ROWS, COLUMNS, FOLD, AHEAD>(rest...);
}

// How many samples a tile of so many vectors holds: accumulators, the weights' vectors and one more fit in registers.
constexpr int most_rows(int columns) {
    return columns == 1 ? (REGISTERS == 32 ? 12 : 8) : (REGISTERS - 2 - columns) * 7 / (8 * columns);
}

// A chunk of inputs (n of CHUNK, `count` used), its rows of weights, and what they add to, z (n of `stride`).
struct Product {
    const float* x;
    int64_t n;
    Weights weights;
    int64_t count;
    float* z;
    int64_t stride;

    // COLUMNS vectors of z from number j on, for all samples.
    template <int COLUMNS, int FOLD, bool AHEAD> void strip(int64_t j) const {
        constexpr int most = most_rows(COLUMNS);
        const int64_t tiles = (n + most - 1) / most, o = j * LANES;
        for (int64_t tile = 0; tile < tiles; ++tile) {
            const int64_t begin = tile * n / tiles, end = (tile + 1) * n / tiles;
            forward_rows<most, COLUMNS, FOLD, AHEAD>(end - begin, x + begin * CHUNK, weights.at(o), count,
                                                     z + begin * stride + o, stride);
        }
    }

    // Those of the vectors [j, whole) that fill such strips.
    template <int COLUMNS, bool AHEAD> void strips(int64_t& j, int64_t whole) const {
        for (; j + COLUMNS <= whole; j += COLUMNS) strip<COLUMNS, 1, AHEAD>(j);
    }

    // Few samples take wide tiles, or too few sums would be under way at once.
    template <bool AHEAD> void add(int64_t out) const {
        const Vectors vectors(out);
        int64_t j = 0;
        if constexpr (most_rows(8) > 0)
            if (n <= most_rows(8)) strips<8, AHEAD>(j, vectors.whole);
        if (n <= most_rows(4)) strips<4, AHEAD>(j, vectors.whole);
        strips<2, AHEAD>(j, vectors.whole);
        strips<1, AHEAD>(j, vectors.whole);
        if (!vectors.half) return;
        const int64_t even = count / 2 * 2;
        Product{x, n, weights, even, z, stride}.strip<1, 2, AHEAD>(j);
        if (even < count) Product{x + even, n, weights.at(even * stride), 1, z, stride}.strip<1, 1, AHEAD>(j);
    }
};

// One chunk of the forward product, for `out` outputs.
void forward_chunk(const Product& product, int64_t out) {
    product.weights.v ? product.add<true>(out) : product.add<false>(out);
}

}  // namespace
