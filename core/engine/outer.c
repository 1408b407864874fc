/* The outer product of the gradient, counted and in slices: see internal.h. */
#include "core/engine/internal.h"

/* An outer product takes rows * sources * columns multiply-adds: it is done in slices of sources, with a check after
 * each. */
void outer_run(struct engine *engine, struct work *work, const float *s, size_t s_stride, const float *g, int rows,
               int sources, int columns, bool spikes, float *total) {
    double each = (double)rows * columns, slices = OUTER_WORK_MOST / each / OUTER_SOURCES;
    const bool sparse = spikes && engine->sparse && rows <= OUTER_ROWS_MOST &&
                        engine->kernels->finite((size_t)rows * (size_t)columns, g);
    void (*outer)(const float *s, size_t s_stride, const float *g, int rows, int sources, int columns,
                  float *total) = sparse ? engine->kernels->outer_sparse : engine->kernels->outer;
    int step = slices < 1 ? OUTER_SOURCES : slices > sources ? sources : (int)slices * OUTER_SOURCES;
    for (int k = 0; k < sources && !(work && work->stopped); k += step) {
        int count = sources - k < step ? sources - k : step;
        outer(s + k, s_stride, g, rows, count, columns, total + (size_t)k * (size_t)columns);
        work_add(work, each * count);
    }
}
