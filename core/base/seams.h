/*
 * The rows of the seams: what is added as one file and one row (core/ADDING.md). A row gives a number, RULE_BPTT and so
 * on, and names the file that holds all else: core/rules/bptt.c ends in `rule_bptt`. The build takes the list of files
 * from here (core/meson.build), also of those that the kernels include; the tables of core/rules, core/tasks,
 * core/model, core/kernels and core/backend are made of these rows, and the program lists rules, tasks, neuron models,
 * activations and backends nowhere else. One row a line.
 *
 * Checkpoints hold the numbers: rows are appended, never moved.
 */
#ifndef MODPROP_CORE_SEAMS_H
#define MODPROP_CORE_SEAMS_H

#define RULES(ROW)                                                                                                     \
    ROW(BPTT, bptt)                                                                                                    \
    ROW(EPROP, eprop)                                                                                                  \
    ROW(MDGL, mdgl)                                                                                                    \
    ROW(MODPROP, modprop)                                                                                              \
    ROW(RTRL, rtrl)                                                                                                    \
    ROW(FILTER, filter)                                                                                                \
    ROW(SNAP, snap)                                                                                                    \
    ROW(UORO, uoro)                                                                                                    \
    ROW(DIFFUSION, diffusion)                                                                                          \
    /* the next rule stands above this line */

#define TASKS(ROW)                                                                                                     \
    ROW(DELAYED_XOR, delayed_xor)                                                                                      \
    ROW(PATTERN, pattern)                                                                                              \
    ROW(ROW_MNIST, row_mnist)                                                                                          \
    ROW(PIXEL_MNIST, pixel_mnist)                                                                                      \
    ROW(EVIDENCE, evidence)                                                                                            \
    ROW(DATASET, dataset)                                                                                              \
    ROW(PERCEPTUAL_DECISION, perceptual_decision)                                                                      \
    ROW(DELAYED_MATCH_TO_SAMPLE, delayed_match_to_sample)                                                              \
    ROW(CONTEXT_DECISION, context_decision)                                                                            \
    ROW(GO_NOGO, go_nogo)                                                                                              \
    ROW(STORE_RECALL, store_recall)                                                                                    \
    ROW(COPY, copy)                                                                                                    \
    ROW(ADDING, adding)                                                                                                \
    ROW(FLIP_FLOP, flip_flop)                                                                                          \
    ROW(INTERVAL_REPRODUCTION, interval_reproduction)                                                                  \
    ROW(MACKEY_GLASS, mackey_glass)                                                                                    \
    /* the next task stands above this line */

#define NEURONS(ROW)                                                                                                   \
    ROW(MEMBRANE, membrane)                                                                                            \
    ROW(RATE, rate)                                                                                                    \
    ROW(LIF, lif)                                                                                                      \
    ROW(ALIF, alif)                                                                                                    \
    /* the next neuron model stands above this line */

#define BACKENDS(ROW)                                                                                                  \
    ROW(CPU, cpu)                                                                                                      \
    ROW(OPENCL, opencl)                                                                                                \
    /* the next backend stands above this line */

#define ACTIVATION_ROWS(ROW)                                                                                           \
    ROW(RELU, relu)                                                                                                    \
    ROW(TANH, tanh)                                                                                                    \
    /* the next activation stands above this line */

#define NEURON_NUMBER(number, name) NEURON_##number,
enum neuron { NEURONS(NEURON_NUMBER) NEURON_MODELS };
#undef NEURON_NUMBER

#define ACTIVATION_NUMBER(number, name) ACTIVATION_##number,
enum activation { ACTIVATION_ROWS(ACTIVATION_NUMBER) ACTIVATIONS };
#undef ACTIVATION_NUMBER

#define RULE_NUMBER(number, name) RULE_##number,
enum rule_type { RULES(RULE_NUMBER) RULE_TYPES };
#undef RULE_NUMBER
/* The rule of a job that names none, and the one whose gradient the others' are compared with. */
#define RULE_DEFAULT RULE_MODPROP
#define RULE_EXACT RULE_BPTT

#define TASK_NUMBER(number, name) TASK_##number,
enum task_type { TASKS(TASK_NUMBER) TASK_TYPES };
#undef TASK_NUMBER

#define BACKEND_NUMBER(number, name) BACKEND_##number,
enum backend_type { BACKENDS(BACKEND_NUMBER) BACKEND_TYPES };
#undef BACKEND_NUMBER

#endif
