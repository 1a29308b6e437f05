// Outputs for samples that all devices share. Of sparse inputs the job lists the places of those that are not zero, and
// the first layer adds up the rows of weights that they multiply, one sample after another. Wide layers go chunk by
// chunk, as when they learn: the rows of a chunk stay in L1 for all samples of a batch.
#pragma once
#include "first.hpp"

namespace {

// z += sum_i x[i] w[at[i]], `count` terms: several sums are under way at once, or each addition would wait for the one
// before.
template <int WIDTH>
void listed_sum(const float* x, const int32_t* at, int64_t count, const float* w, int64_t stride, float* z) {
    constexpr int WAYS = WIDTH <= 2 ? 4 : WIDTH <= 4 ? 2 : 1;
    Vector sum[WAYS][WIDTH] = {};
    int64_t i = 0;
    for (; i + WAYS <= count; i += WAYS)
        UNROLL for (int way = 0; way < WAYS; ++way) {
            const float* row = w + at[i + way] * stride;
            UNROLL for (int j = 0; j < WIDTH; ++j) sum[way][j] += x[i + way] * load(row + j * LANES);
        }
    for (; i < count; ++i)
        UNROLL for (int j = 0; j < WIDTH; ++j) sum[0][j] += x[i] * load(w + at[i] * stride + j * LANES);
    UNROLL for (int j = 0; j < WIDTH; ++j) {
        UNROLL for (int way = 1; way < WAYS; ++way) sum[0][j] += sum[way][j];
        store(z + j * LANES, load(z + j * LANES) + sum[0][j]);
    }
}

template <int WIDTH = WIDEST, class... Rest>
INLINE void listed_sum_of(int64_t width, Rest... rest) {
    if constexpr (WIDTH > 1) {
        if (width < WIDTH) return listed_sum_of<WIDTH - 1>(width, rest...);
    }
    listed_sum<WIDTH>(rest...);
}

INLINE bool wide(const Layer& layer) { return layer.out >= 80; }

// z of the first layer for batch number t, sparse inputs.
void forward_listed(const Job& job, const First& first, Window& batch, int64_t t) {
    const Layer& layer = first.layer;
    batch.n = job.cuts[t + 1] - job.cuts[t], batch.samples = job.order + job.cuts[t];
    if (job.base != 0) first.common.forward(layer, first.base(), batch.z, batch.n, batch.sum);
    else memset(batch.z, 0, 4 * batch.n * layer.stride);
    for (int64_t part = 0, j = 0; part < first.parts; ++part) {
        const int64_t end = (part + 1) * layer.vectors / first.parts, o = j * LANES;
        for (int64_t r = 0; r < batch.n; ++r) {
            const int64_t sample = batch.samples[r], from = job.begins[sample];
            listed_sum_of(end - j, job.apart + from, job.places + from, job.begins[sample + 1] - from,
                          layer.weight + o, layer.stride, batch.z + r * layer.stride + o);
        }
        j = end;
    }
}

}  // namespace
