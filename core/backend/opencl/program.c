/*
 * The program of a shape: sizes as definitions, then the .cl texts; and its kernels, each with the buffers that it
 * takes. See cohort.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/backend/opencl/cohort.h"

enum { BUFFERS_MOST = 14, NUMBERS_MOST = 6, ITEMS = 64, REWIRE_ITEMS = 64, TEXT_BYTES = 4096 };

/* A processor as a device serves tests: there the compiler's time counts, not the program's. */
#define OPTIONS "-cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt"

/*
 * A kernel's function, its buffers in order, and how many ints follow. `groups`: it runs in work-groups of its own, of
 * which kind.
 */
enum groups { GROUPS_NONE, GROUPS_TRIALS, GROUPS_OUTER, GROUPS_REWIRE };
struct kernel_row {
    const char *function;
    unsigned char buffers[BUFFERS_MOST];
    int buffer_count, numbers;
    enum groups groups;
};

#define B(name) BUFFER_##name
#define TAKES(...) {__VA_ARGS__}, sizeof((unsigned char[]){__VA_ARGS__})
static const struct kernel_row rows[KERNELS] = {
    [KERNEL_IDS_TRAINING] = {"ids_training", TAKES(B(JOBS), B(IDS)), 0, 0},
    [KERNEL_TRIALS_DRAW] = {"trials_draw", TAKES(B(JOBS), B(IDS), B(DRAWN)), 0, 0},
    [KERNEL_INPUTS_DRAW] = {"inputs_draw", TAKES(B(JOBS), B(DATA), B(IDS), B(DRAWN), B(HISTORY)), 3, 0},
    [KERNEL_INPUTS_GIVEN] = {"inputs_given", TAKES(B(GIVEN), B(HISTORY)), 3, 0},
    [KERNEL_TARGETS_DRAW] = {"targets_draw",
                             TAKES(B(JOBS), B(DATA), B(DRAWN), B(TARGET_WEIGHTS), B(TARGET_CLASSES), B(TARGET_VALUES)),
                             0, 0},
    [KERNEL_BIAS_FILL] = {"bias_fill", TAKES(B(HISTORY)), 0, 0},
    [KERNEL_WEIGHTS_SUM] = {"weights_sum", TAKES(B(JOBS), B(TARGET_WEIGHTS), B(LIVE)), 0, 0},
    [KERNEL_FORWARD] = {"forward", TAKES(B(PACKED), B(UNIT), B(HISTORY), B(V)), 2, GROUPS_TRIALS},
    [KERNEL_FORWARD_RESET] = {"forward_reset", TAKES(B(HISTORY), B(V)), 0, 0},
    [KERNEL_FORWARD_WRAP] = {"forward_wrap", TAKES(B(HISTORY)), 1, 0},
    [KERNEL_PSI_COUNT] = {"psi_count", TAKES(B(JOBS), B(HISTORY), B(PSI)), 2, 0},
    [KERNEL_LOSS_STEPS] = {"loss_steps",
                           TAKES(B(JOBS), B(HISTORY), B(WOUT_T), B(BOUT), B(TARGET_WEIGHTS), B(TARGET_CLASSES),
                                 B(TARGET_VALUES), B(OUTPUTS), B(ERR), B(LOSSES), B(CORRECTS)),
                           3, 0},
    [KERNEL_LOSS_OF_TRIALS] = {"loss_of_trials",
                               TAKES(B(JOBS), B(LOSSES), B(CORRECTS), B(TRIAL_LOSS), B(TRIAL_CORRECT)), 4, 0},
    [KERNEL_READOUT_GRADIENT] = {"readout_gradient", TAKES(B(JOBS), B(HISTORY), B(ERR), B(LIVE), B(READOUT)), 5, 0},
    [KERNEL_BOUT_GRADIENT] = {"bout_gradient", TAKES(B(JOBS), B(ERR), B(BOUT_TOTAL)), 4, 0},
    [KERNEL_SUMS_RESET] = {"sums_reset",
                           TAKES(B(TRIAL_LOSS), B(TRIAL_CORRECT), B(READOUT), B(BOUT_TOTAL), B(PSI), B(TOTAL),
                                 B(SHARED)),
                           0, 0},
    [KERNEL_BATCH_END] = {"batch_end", TAKES(B(JOBS), B(TRIAL_LOSS), B(TRIAL_CORRECT), B(PSI)), 1, 0},
    [KERNEL_CREDIT] = {"credit",
                       TAKES(B(JOBS), B(HOP), B(UNIT), B(MU), B(TYPES), B(HISTORY), B(ERR), B(FEEDBACK), B(LIVE),
                             B(CARRIED), B(GD)),
                       3, GROUPS_TRIALS},
    [KERNEL_CREDIT_RESET] = {"credit_reset", TAKES(B(CARRIED)), 0, 0},
    [KERNEL_OUTER_HISTORY] = {"outer_add", TAKES(B(JOBS), B(HISTORY), B(GD), B(TOTAL)), 6, GROUPS_OUTER},
    [KERNEL_OUTER_ROWS] = {"outer_add", TAKES(B(JOBS), B(ROWS), B(FACTORS), B(TOTAL)), 6, GROUPS_OUTER},
    [KERNEL_TRACES_RESET] = {"traces_reset", TAKES(B(TRACES)), 0, 0},
    [KERNEL_TRACES_ADVANCE] = {"traces_advance",
                               TAKES(B(JOBS), B(MODES), B(UNIT), B(HISTORY), B(TRACES), B(ROWS), B(KEPT)), 3, 0},
    [KERNEL_TRACES_FACTORS] = {"traces_factors", TAKES(B(HISTORY), B(ERR), B(FEEDBACK), B(FACTORS)), 3, 0},
    [KERNEL_TRACES_HOP] = {"traces_hop", TAKES(B(HOP), B(UNIT), B(TYPES), B(HISTORY), B(FACTORS)), 2, GROUPS_TRIALS},
    [KERNEL_MODES_MAKE] = {"modes_make",
                           TAKES(B(JOBS), B(AVERAGES), B(TYPE_SIZES), B(MU_OF), B(MODES), B(VECTORS), B(INVERSE)), 0,
                           0},
    [KERNEL_MODES_SIGNALS] = {"modes_signals", TAKES(B(JOBS), B(FACTORS), B(TYPES), B(INVERSE), B(MODES), B(SIGNALS)),
                              2, 0},
    [KERNEL_MODES_SHARED] = {"modes_shared", TAKES(B(JOBS), B(MODES), B(SIGNALS), B(KEPT), B(SHARED)), 2, 0},
    [KERNEL_MODES_SHARES] = {"modes_shares", TAKES(B(JOBS), B(SHARED), B(VECTORS), B(SHARES)), 0, 0},
    [KERNEL_GRADIENT_REDUCE] = {"gradient_reduce",
                                TAKES(B(JOBS), B(TOTAL), B(SHARES), B(TYPES), B(TYPE_SIZES), B(GRADIENT)), 0, 0},
    [KERNEL_READOUT_REDUCE] = {"readout_reduce", TAKES(B(READOUT), B(BOUT_TOTAL), B(GRADIENT)), 0, 0},
    [KERNEL_UPDATE_REGULARISE] = {"update_regularise", TAKES(B(JOBS), B(MASK), B(WEIGHTS), B(GRADIENT)), 0, 0},
    [KERNEL_UPDATE_NUMBERS] = {"update_numbers", TAKES(B(JOBS), B(GRADIENT)), 0, 0},
    [KERNEL_UPDATE_STEP] = {"update_step", TAKES(B(JOBS), B(SIGNS), B(WEIGHTS), B(STATE), B(GRADIENT)), 0, 0},
    [KERNEL_UPDATE_REWIRE] = {"update_rewire", TAKES(B(JOBS), B(SIGNS), B(MASK), B(WEIGHTS), B(DORMANT)), 0,
                              GROUPS_REWIRE},
    [KERNEL_UPDATE_END] = {"update_end", TAKES(B(JOBS)), 0, 0},
    [KERNEL_LOAD_FORWARD] = {"load_forward", TAKES(B(WEIGHTS), B(PACKED)), 0, 0},
    [KERNEL_LOAD_READOUT] = {"load_readout",
                             TAKES(B(JOBS), B(WEIGHTS), B(STATE), B(TYPES), B(MU_GIVEN), B(WOUT_T), B(BOUT),
                                   B(FEEDBACK), B(MU)),
                             0, 0},
    [KERNEL_LOAD_HOP] = {"load_hop", TAKES(B(WEIGHTS), B(AVERAGES), B(TYPES), B(HOP)), 0, 0},
    [KERNEL_LOAD_AVERAGES] = {"load_averages", TAKES(B(WEIGHTS), B(TYPES), B(AVERAGES)), 0, 0},
};
#undef B

static void shape_define(const struct shape *s, bool gpu, char *text, size_t size) {
    const struct {
        const char *name;
        long value;
    } definitions[] = {
        {"UNITS", s->units},
        {"INPUTS", s->inputs},
        {"OUTPUTS", s->outputs},
        {"BIAS", s->bias},
        {"TYPES", s->types},
        {"STEPS", s->steps},
        {"MASK_FROM", s->mask_from},
        {"MASK_UNIFORM", s->mask_uniform},
        {"COUNT_PSI", s->count_psi},
        {"LOSS_IS_CROSS_ENTROPY", s->loss == LOSS_CROSS_ENTROPY},
        {"COLUMNS", s->columns},
        {"Z_OFFSET", s->z_offset},
        {"BLOCK_ROWS", s->block_rows},
        {"ROWS_PADDED", s->rows_padded},
        {"GROUP_COUNT", s->groups},
        {"LANE_COUNT", s->lanes},
        {"TILE_ROWS", s->tile_rows},
        {"GROUP_ROWS", s->group_rows},
        {"OUTER_SOURCES", 8},
        {"OUTER_TILES_GROUP", s->outer_tiles},
        {"OUTER_CHUNK", s->outer_chunk},
        {"TIME_BLOCK", TIME_BLOCK},
        {"SLOTS", s->slots},
        {"TRACES", s->traces},
        {"ENTRIES", s->entries},
        {"RING", s->ring},
        {"KEPT_STEPS", s->kept},
        {"MODES", s->modes},
        {"CREDIT", s->credit},
        {"HOP_TYPES", s->hop_types},
        {"HOP_AVERAGES", s->hop_averages},
        {"HOP_EXISTING", s->hop_existing},
        {"WINDOW", s->window},
        {"HAS_FEEDBACK", s->has_feedback},
        {"MU_AUTO", s->mu_auto},
        {"MU_GIVEN", s->mu_given},
        {"REWIRE_ITEMS", REWIRE_ITEMS},
        {"UNROLLS", gpu},
    };
    size_t at = 0;
    for (size_t i = 0; i < sizeof definitions / sizeof *definitions; i++) {
        at += (size_t)snprintf(text + at, size - at, "#define %s %ld\n", definitions[i].name, definitions[i].value);
    }
    snprintf(text + at, size - at, "#define GROUP_FIRST(g) ((int)((long)BLOCKS * (g) / GROUP_COUNT))\n");
}

/* What the network, the optimiser and the task are beyond the shape. */
static void problem_define(const struct cohort *cohort, char *text, size_t size) {
    const struct backend_problem *problem = &cohort->problems[0];
    const struct network *network = problem->network;
    const struct optimizer *optimizer = problem->optimizer;
    int moments = !optimizer ? 0 : optimizer->second ? 2 : 1;
    size_t at = strlen(text);
    at += (size_t)snprintf(text + at, size - at,
                           "#define ACTIVATION_IS_TANH %d\n#define DALE %d\n#define HAS_MASK %d\n#define MOMENTS %d\n"
                           "#define CLIPS %d\n#define REWIRES %d\n#define FEEDBACK_ADAPTS %d\n"
                           "#define DATA_FLOATS ((size_t)%zu)\n",
                           network->activation == ACTIVATION_TANH, network->dale, network->mask != NULL, moments,
                           optimizer && optimizer->config->clip_norm.set,
                           optimizer && optimizer->rewiring == REWIRING_DEEP_R, optimizer && optimizer->feedback_adapts,
                           cohort->size.data);
    double empty = problem->task ? problem->task->shape.empty_loss : 0;
    uint64_t bits;
    memcpy(&bits, &empty, sizeof bits);
    at += (size_t)snprintf(text + at, size - at, "#define EMPTY_LOSS as_double(0x%llxUL)\n", (unsigned long long)bits);
    if (!cohort->task) {
        snprintf(text + at, size - at, "#define HAS_TASK 0\n");
    }
}

bool cohort_check(struct cohort *cohort, cl_int error, const char *what) {
    if (error != CL_SUCCESS && !cohort->failed) {
        cohort->failed = true;
        snprintf(cohort->error, sizeof cohort->error, "the device %.60s has failed: %s: %s (OpenCL error %d)",
                 cohort->device->name, what, cl_error_name(error), error);
    }
    return error == CL_SUCCESS;
}

static void build_failed(struct cohort *cohort, struct error *error) {
    char *log = calloc(1, TEXT_BYTES);
    if (log && cohort->cl->GetProgramBuildInfo(cohort->program, cohort->device->id, CL_PROGRAM_BUILD_LOG,
                                               TEXT_BYTES - 1, log, NULL) != CL_SUCCESS) {
        log[0] = '\0';
    }
    snprintf(error->text, sizeof error->text, "the device's compiler has failed: %.180s", log ? log : "");
    free(log);
}

bool program_build(struct cohort *cohort, struct error *error) {
    char defined[TEXT_BYTES];
    shape_define(&cohort->shape, cohort->device->gpu, defined, sizeof defined);
    problem_define(cohort, defined, sizeof defined);
    const char *texts[] = {defined,
                           opencl_text("numbers"),
                           cohort->task ? opencl_text(cohort->task->text) : "",
                           opencl_text("trials"),
                           opencl_text("forward"),
                           opencl_text("loss"),
                           opencl_text("credit"),
                           opencl_text("traces"),
                           "struct work { int none; };\n#define work_add(work, operations) false\n",
                           opencl_text("eigen_complex"),
                           opencl_text("inverse"),
                           opencl_text("modes"),
                           opencl_text("update")};
    cl_int failed;
    cohort->program = cohort->cl->CreateProgramWithSource(cohort->context, sizeof texts / sizeof *texts, texts, NULL,
                                                          &failed);
    if (!cohort_check(cohort, failed, "creating the program")) {
        snprintf(error->text, sizeof error->text, "%s", cohort->error);
        return false;
    }
    failed = cohort->cl->BuildProgram(cohort->program, 1, &cohort->device->id,
                                      cohort->device->gpu ? OPTIONS : OPTIONS " -cl-opt-disable", NULL, NULL);
    if (failed != CL_SUCCESS) {
        build_failed(cohort, error);
    }
    return failed == CL_SUCCESS;
}

char *program_key(const struct cohort *cohort) {
    const struct sizes *size = &cohort->size;
    char *text = calloc(1, TEXT_BYTES);
    if (text) {
        shape_define(&cohort->shape, cohort->device->gpu, text, TEXT_BYTES);
        problem_define(cohort, text, TEXT_BYTES);
        size_t at = strlen(text);
        snprintf(text + at, TEXT_BYTES - at, "%s %d %d %zu %zu %zu %zu %zu %zu\n",
                 cohort->task ? cohort->task->text : "", cohort->shape.method, cohort->shape.trials, size->data,
                 size->given, size->parameters, size->state, size->mask, size->dormant);
    }
    return text;
}

void kernels_forget(struct cohort *cohort) {
    for (int k = 0; k < KERNELS; k++) {
        if (cohort->kernels[k]) {
            cohort->cl->ReleaseKernel(cohort->kernels[k]);
            cohort->kernels[k] = NULL;
        }
    }
}

void program_release(struct cohort *cohort) {
    kernels_forget(cohort);
    if (cohort->program) {
        cohort->cl->ReleaseProgram(cohort->program);
        cohort->program = NULL;
    }
}

static bool kernel_make(struct cohort *cohort, enum kernel kernel) {
    const struct kernel_row *row = &rows[kernel];
    cl_int failed;
    cohort->kernels[kernel] = cohort->cl->CreateKernel(cohort->program, row->function, &failed);
    bool made = cohort_check(cohort, failed, row->function);
    for (int i = 0; made && i < row->buffer_count; i++) {
        cl_mem *buffer = &cohort->buffers[row->buffers[i]];
        made = cohort_check(cohort,
                            cohort->cl->SetKernelArg(cohort->kernels[kernel], (cl_uint)i, sizeof *buffer, buffer),
                            row->function);
    }
    return made;
}

/* The work-items of a group in x. */
static size_t items_of(const struct shape *shape, enum groups groups, size_t x) {
    switch (groups) {
    case GROUPS_TRIALS:
        return (size_t)shape->lanes * (size_t)(shape->group_rows / shape->tile_rows);
    case GROUPS_OUTER:
        return (size_t)shape->lanes * (size_t)shape->outer_tiles;
    case GROUPS_REWIRE:
        return REWIRE_ITEMS;
    case GROUPS_NONE:
        break;
    }
    return x < ITEMS ? x : ITEMS;
}

void cohort_launch(struct cohort *cohort, enum kernel kernel, size_t x, size_t y, const int *numbers) {
    const struct kernel_row *row = &rows[kernel];
    if (cohort->failed || (!cohort->kernels[kernel] && !kernel_make(cohort, kernel))) {
        return;
    }
    for (int i = 0; i < row->numbers; i++) {
        cohort_check(cohort,
                     cohort->cl->SetKernelArg(cohort->kernels[kernel], (cl_uint)(row->buffer_count + i),
                                              sizeof *numbers, &numbers[i]),
                     row->function);
    }
    size_t items = items_of(&cohort->shape, row->groups, x),
           all = row->groups == GROUPS_NONE ? (x + items - 1) / items * items : x * items;
    const size_t from[3] = {0, 0, (size_t)cohort->now.first}, local[3] = {items, 1, 1},
                 global[3] = {all, y, (size_t)cohort->now.count};
    cohort->launches++;
    cohort_check(
        cohort,
        cohort->cl->EnqueueNDRangeKernel(cohort->queue, cohort->kernels[kernel], 3, from, global, local, 0, NULL, NULL),
        row->function);
}
