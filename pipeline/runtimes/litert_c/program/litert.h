// What check.c calls of LiteRT's C API. Its package has the library and no header; this one is written
// after LiteRT's documentation and was tried with one version, and check.c refuses any other.
#ifndef LITERT_H
#define LITERT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LITERT_VERSION "@VERSION@"

typedef struct LiteRtEnvironmentT *LiteRtEnvironment;
typedef struct LiteRtModelT *LiteRtModel;
typedef struct LiteRtOptionsT *LiteRtOptions;
typedef struct LiteRtCompiledModelT *LiteRtCompiledModel;
typedef struct LiteRtTensorBufferT *LiteRtTensorBuffer;

enum { LITERT_OK = 0, LITERT_CPU = 1, LITERT_HOST_MEMORY = 1, LITERT_READ = 0, LITERT_WRITE = 1 };
enum {
  LITERT_FLOAT32 = 1,
  LITERT_INT32 = 2,
  LITERT_UINT8 = 3,
  LITERT_INT64 = 4,
  LITERT_STRING = 5,
  LITERT_BOOL = 6,
  LITERT_INT16 = 7,
  LITERT_INT8 = 9,
  LITERT_FLOAT64 = 11
};

// The two structures that are not opaque; LiteRT documents them as public and stable.
typedef struct {
  unsigned rank : 7, has_strides : 1;
  int32_t dimensions[8];
  uint32_t strides[8];
} LiteRtLayout;

typedef struct {
  int element_type;
  LiteRtLayout layout;
} LiteRtRankedTensorType;

_Static_assert(sizeof(LiteRtLayout) == 68 && sizeof(LiteRtRankedTensorType) == 72, "as documented");

// Each that gives an int gives LITERT_OK, or what went wrong. `which` is the signature's number;
// inputs and outputs are in the order in which its graph has them.
int LiteRtCreateEnvironment(int count, const void *options, LiteRtEnvironment *environment);
int LiteRtCreateModelFromFile(LiteRtEnvironment environment, const char *path, LiteRtModel *model);
int LiteRtCreateOptions(LiteRtOptions *options);
int LiteRtSetOptionsHardwareAccelerators(LiteRtOptions options, int accelerators);
int LiteRtCreateCompiledModel(LiteRtEnvironment environment, LiteRtModel model,
                              LiteRtOptions options, LiteRtCompiledModel *compiled);
int LiteRtCompiledModelResizeInputTensor(LiteRtCompiledModel compiled, size_t which, size_t input,
                                         const int *dimensions, size_t rank);
int LiteRtGetCompiledModelOutputTensorLayouts(LiteRtCompiledModel compiled, size_t which,
                                              size_t outputs, LiteRtLayout *layouts, bool allocate);
int LiteRtCreateManagedTensorBuffer(LiteRtEnvironment environment, int memory,
                                    const LiteRtRankedTensorType *type, size_t bytes,
                                    LiteRtTensorBuffer *buffer);
int LiteRtLockTensorBuffer(LiteRtTensorBuffer buffer, void **data, int mode);
int LiteRtUnlockTensorBuffer(LiteRtTensorBuffer buffer);
void LiteRtDestroyTensorBuffer(LiteRtTensorBuffer buffer);
int LiteRtRunCompiledModel(LiteRtCompiledModel compiled, size_t which, size_t inputs,
                           LiteRtTensorBuffer *input, size_t outputs, LiteRtTensorBuffer *output);
#endif
