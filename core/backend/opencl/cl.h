/*
 * OpenCL 1.2, as far as this backend needs it: types, constants and functions declared from the specification
 * (Khronos OpenCL 1.2, revision 19), and the loader. libOpenCL.so.1 is opened with dlopen, so that neither the build
 * nor a host without devices depends on it.
 *
 * Owner: the table of functions and the list of devices are made once, by the first caller of cl_devices, and never
 * changed; any thread may read them.
 */
#ifndef MODPROP_CORE_BACKEND_OPENCL_CL_H
#define MODPROP_CORE_BACKEND_OPENCL_CL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/result.h"

typedef int32_t cl_int;
typedef uint32_t cl_uint;
typedef uint64_t cl_ulong;
typedef uint64_t cl_bitfield;
typedef struct cl_platform_handle *cl_platform_id;
typedef struct cl_device_handle *cl_device_id;
typedef struct cl_context_handle *cl_context;
typedef struct cl_queue_handle *cl_command_queue;
typedef struct cl_program_handle *cl_program;
typedef struct cl_kernel_handle *cl_kernel;
typedef struct cl_mem_handle *cl_mem;
typedef struct cl_event_handle *cl_event;

enum {
    CL_SUCCESS = 0,
    CL_DEVICE_NOT_FOUND = -1,
    CL_MEM_OBJECT_ALLOCATION_FAILURE = -4,
    CL_OUT_OF_RESOURCES = -5,
    CL_OUT_OF_HOST_MEMORY = -6,
    CL_BUILD_PROGRAM_FAILURE = -11,

    CL_PLATFORM_NAME = 0x0902,
    CL_DEVICE_TYPE = 0x1000,
    CL_DEVICE_MAX_COMPUTE_UNITS = 0x1002,
    CL_DEVICE_MAX_WORK_GROUP_SIZE = 0x1004,
    CL_DEVICE_MAX_MEM_ALLOC_SIZE = 0x1010,
    CL_DEVICE_SINGLE_FP_CONFIG = 0x101B,
    CL_DEVICE_GLOBAL_MEM_SIZE = 0x101F,
    CL_DEVICE_LOCAL_MEM_SIZE = 0x1023,
    CL_DEVICE_NAME = 0x102B,
    CL_DRIVER_VERSION = 0x102D,
    CL_DEVICE_VERSION = 0x102F,
    CL_DEVICE_DOUBLE_FP_CONFIG = 0x1032,

    CL_FP_DENORM = 1 << 0,
    CL_FP_INF_NAN = 1 << 1,
    CL_FP_ROUND_TO_NEAREST = 1 << 2,
    CL_FP_FMA = 1 << 5,
    CL_FP_SOFT_FLOAT = 1 << 6,
    CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT = 1 << 7,

    CL_DEVICE_TYPE_CPU = 1 << 1,
    CL_DEVICE_TYPE_GPU = 1 << 2,
    CL_MEM_READ_WRITE = 1 << 0,
    CL_PROGRAM_BUILD_LOG = 0x1183
};
#define CL_DEVICE_TYPE_ALL 0xFFFFFFFFu

/* result, name, parameters */
#define CL_FUNCTIONS(ROW)                                                                                              \
    ROW(cl_int, GetPlatformIDs, (cl_uint, cl_platform_id *, cl_uint *))                                                \
    ROW(cl_int, GetPlatformInfo, (cl_platform_id, cl_uint, size_t, void *, size_t *))                                  \
    ROW(cl_int, GetDeviceIDs, (cl_platform_id, cl_bitfield, cl_uint, cl_device_id *, cl_uint *))                       \
    ROW(cl_int, GetDeviceInfo, (cl_device_id, cl_uint, size_t, void *, size_t *))                                      \
    ROW(cl_context, CreateContext,                                                                                     \
        (const intptr_t *, cl_uint, const cl_device_id *, void (*)(const char *, const void *, size_t, void *),        \
         void *, cl_int *))                                                                                            \
    ROW(cl_int, ReleaseContext, (cl_context))                                                                          \
    ROW(cl_command_queue, CreateCommandQueue, (cl_context, cl_device_id, cl_bitfield, cl_int *))                       \
    ROW(cl_int, ReleaseCommandQueue, (cl_command_queue))                                                               \
    ROW(cl_program, CreateProgramWithSource, (cl_context, cl_uint, const char **, const size_t *, cl_int *))           \
    ROW(cl_int, BuildProgram,                                                                                          \
        (cl_program, cl_uint, const cl_device_id *, const char *, void (*)(cl_program, void *), void *))               \
    ROW(cl_int, GetProgramBuildInfo, (cl_program, cl_device_id, cl_uint, size_t, void *, size_t *))                    \
    ROW(cl_int, ReleaseProgram, (cl_program))                                                                          \
    ROW(cl_kernel, CreateKernel, (cl_program, const char *, cl_int *))                                                 \
    ROW(cl_int, SetKernelArg, (cl_kernel, cl_uint, size_t, const void *))                                              \
    ROW(cl_int, ReleaseKernel, (cl_kernel))                                                                            \
    ROW(cl_mem, CreateBuffer, (cl_context, cl_bitfield, size_t, void *, cl_int *))                                     \
    ROW(cl_int, ReleaseMemObject, (cl_mem))                                                                            \
    ROW(cl_int, EnqueueReadBuffer,                                                                                     \
        (cl_command_queue, cl_mem, cl_uint, size_t, size_t, void *, cl_uint, const cl_event *, cl_event *))            \
    ROW(cl_int, EnqueueWriteBuffer,                                                                                    \
        (cl_command_queue, cl_mem, cl_uint, size_t, size_t, const void *, cl_uint, const cl_event *, cl_event *))      \
    ROW(cl_int, EnqueueFillBuffer,                                                                                     \
        (cl_command_queue, cl_mem, const void *, size_t, size_t, size_t, cl_uint, const cl_event *, cl_event *))       \
    ROW(cl_int, EnqueueCopyBuffer,                                                                                     \
        (cl_command_queue, cl_mem, cl_mem, size_t, size_t, size_t, cl_uint, const cl_event *, cl_event *))             \
    ROW(cl_int, EnqueueNDRangeKernel,                                                                                  \
        (cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *, cl_uint,                \
         const cl_event *, cl_event *))                                                                                \
    ROW(cl_int, Flush, (cl_command_queue))                                                                             \
    ROW(cl_int, Finish, (cl_command_queue))

struct cl_functions {
#define CL_MEMBER(result, name, parameters) result(*name) parameters;
    CL_FUNCTIONS(CL_MEMBER)
#undef CL_MEMBER
};

#define CL_NAME_BYTES 128
#define CL_DEVICES_MOST 64

struct cl_device {
    cl_device_id id;
    char name[CL_NAME_BYTES], platform[CL_NAME_BYTES], version[CL_NAME_BYTES], driver[CL_NAME_BYTES];
    bool gpu;
    bool suitable;                                  /* its arithmetic is that of the processor */
    char why[160];                                  /* it is not */
    size_t group_items;                             /* most work-items of a group */
    uint64_t memory, allocation_most, local_memory; /* bytes */
    unsigned units;
};

/* The functions; NULL, with a sentence, where there is no loader. */
const struct cl_functions *cl_load(char error[256]);
/* The devices of all platforms, in the order of the drivers. Their number; 0, with a sentence, if there is none. */
int cl_devices(const struct cl_device **devices, char error[256]);
/* The name of an error. */
const char *cl_error_name(cl_int error);

#endif
