// Outputs for samples that all devices share. Of sparse inputs those that are not zero are packed, once for all
// devices, and the first layer adds up the rows of weights that they multiply, one sample after another.
#pragma once
#include "first.hpp"

namespace {

// z = sum_i x[i] w[at[i]], `count` terms: several sums are under way at once, or each addition would wait for the last.
template <int WIDTH>
void packed_sum(const float* x, const int32_t* at, int64_t count, const float* w, int64_t stride, float* z) {
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
        store(z + j * LANES, sum[0][j]);
    }
}

template <int WIDTH = WIDEST, class... Rest>
INLINE void packed_sum_of(int64_t width, Rest... rest) {
    if constexpr (WIDTH > 1) {
        if (width < WIDTH) return packed_sum_of<WIDTH - 1>(width, rest...);
    }
    packed_sum<WIDTH>(rest...);
}

// The samples of a job's batches, in their order.
struct Packed {
    float* x;
    int32_t* at;     // which input each of x is
    int64_t* begin;  // (samples + 1) where each sample's begin

    static int64_t count(const Job& job, const First& first) {
        int64_t found = 0;
        for (int64_t i = job.cuts[0]; i < job.cuts[job.first[1]]; ++i)
            for (int64_t c = 0; c < first.chunks; ++c) found += __builtin_popcountll(first.active(job.order[i], c));
        return found;
    }

    void take(Arena& arena, const Job& job, const First& first) {
        const int64_t found = count(job, first);
        x = arena.take<float>(found), at = arena.take<int32_t>(found);
        begin = arena.take<int64_t>(job.cuts[job.first[1]] + 1);
    }

    void pack(const Job& job, const First& first) {
        int64_t found = 0;
        for (int64_t i = job.cuts[0]; i < job.cuts[job.first[1]]; ++i) {
            const float* from = job.inputs + job.order[i] * first.layer.in;
            begin[i] = found;
            for (int64_t c = 0; c < first.chunks; ++c)
                for (uint64_t word = first.active(job.order[i], c); word; word &= word - 1, ++found) {
                    const int64_t k = c * CHUNK + __builtin_ctzll(word);
                    at[found] = static_cast<int32_t>(k), x[found] = from[k];
                }
            begin[i + 1] = found;
        }
    }

    // z of the first layer for batch number t.
    void forward(const Job& job, const First& first, Batch& batch, int64_t t) const {
        const Layer& layer = first.layer;
        batch.n = job.cuts[t + 1] - job.cuts[t], batch.samples = job.order + job.cuts[t];
        for (int64_t part = 0, j = 0; part < first.parts; ++part) {
            const int64_t end = (part + 1) * layer.vectors / first.parts, o = j * LANES;
            for (int64_t r = 0; r < batch.n; ++r) {
                const int64_t i = begin[job.cuts[t] + r], count = begin[job.cuts[t] + r + 1] - i;
                packed_sum_of(end - j, x + i, at + i, count, layer.weight + o, layer.stride,
                              batch.z + r * layer.stride + o);
            }
            j = end;
        }
    }
};

}  // namespace
