// Two batches in one sweep over the first layer's weights w and velocities v, which fit in no near cache. By the plain
// rule (see `Step`) the first, with inputs x_n, takes from w what no batch would, v, and its gradient:
//
//   w' = w - v - sum_n x_n d_n                          d_n the loss's derivative by z_n, n of the first batch
//   z_m = x_m w' = x_m (w - v) - sum_n (x_m x_n) d_n    m of the second batch; x_m x_n the inner product of inputs
//
// So both go forward in one sweep, the second with w - v; the last sum comes to z_m when d_n is known. The next sweep
// makes the steps of both while weights are in registers.
#pragma once
#include "network.hpp"

namespace {

struct Batch {
    int64_t n;
    const int64_t* samples;  // (n)
    float* z;                // (n, stride) of the first layer
};

// Batches that share a sweep: one or two. None is empty.
struct Window {
    int64_t n = 0, then = 0;  // samples of the first and of the second
    const int64_t* samples;   // (n + then)
    float* z;                 // (n + then, stride) of the first layer; the next window's begins before this one ends
    float* x;                 // (chunks, n + then, CHUNK) inputs, unless they are sparse
    const float** apart;      // (n) each sample's next input that is not zero, in the course of a sweep
    uint64_t* any;            // (chunks) a bit for each input that is not zero in some sample
    uint64_t* who;            // (chunks * CHUNK) for each input the samples in which it is not zero
    float* value;             // (chunks * CHUNK, n) and what it is there
    float* sum;               // (n) of each sample's inputs that are not zero

    int64_t all() const { return n + then; }
    float* chunk(int64_t c) const { return x + c * all() * CHUNK; }
};

constexpr int64_t MOST_IN_PAIR = most_rows(2);  // samples of a batch: one tile of the forward product
constexpr int SIDE = REGISTERS == 32 ? 5 : 3;   // of a tile of inner products

// out[i][j], rows CHUNK apart, = - x_i y_j of ROWS and COLUMNS samples of `in` inputs each, chunks of which lie `chunk`
// apart; what pads the last to whole vectors is zero.
template <int ROWS, int COLUMNS>
void inner_tile(const float* x, const float* y, int64_t in, int64_t chunk, float* out) {
    Vector sum[ROWS][COLUMNS] = {};
    for (int64_t k = 0; k < in; k += LANES) {
        const int64_t at = k / CHUNK * chunk + k % CHUNK;
        UNROLL for (int i = 0; i < ROWS; ++i)
            UNROLL for (int j = 0; j < COLUMNS; ++j) sum[i][j] -= load(x + at + i * CHUNK) * load(y + at + j * CHUNK);
    }
    UNROLL for (int i = 0; i < ROWS; ++i)
        UNROLL for (int j = 0; j < COLUMNS; ++j)
            out[i * CHUNK + j] = over_lanes(sum[i][j], [](Vector a, Vector b) { return a + b; })[0];
}

template <int ROWS, int COLUMNS, class... Rest>
INLINE void inner_some(int64_t rows, int64_t columns, Rest... rest) {
    if constexpr (ROWS > 1) {
        if (rows < ROWS) return inner_some<ROWS - 1, COLUMNS>(rows, columns, rest...);
    }
    if constexpr (COLUMNS > 1) {
        if (columns < COLUMNS) return inner_some<ROWS, COLUMNS - 1>(rows, columns, rest...);
    }
    inner_tile<ROWS, COLUMNS>(rest...);
}

// The second batch of a window, z of which becomes complete: the first has the loss's derivatives in the place of z.
// products: (MOST_IN_PAIR, CHUNK)
Batch second(const Window& window, const Layer& layer, float* products) {
    const float *first = window.x, *then = first + window.n * CHUNK;
    for (int64_t i = 0; i < window.then; i += SIDE)
        for (int64_t j = 0; j < window.n; j += SIDE)
            inner_some<SIDE, SIDE>(window.then - i, window.n - j, then + i * CHUNK, first + j * CHUNK, layer.in,
                                   window.all() * CHUNK, products + i * CHUNK + j);
    const Batch batch{window.then, window.samples + window.n, window.z + window.n * layer.stride};
    forward_chunk({products, window.then, {window.z, nullptr}, window.n, batch.z, layer.stride}, layer.out);
    return batch;
}

}  // namespace
