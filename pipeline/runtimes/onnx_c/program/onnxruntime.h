// What check.c calls of ONNX Runtime's C API. Its package has the library and no header. All functions
// are in one table, to which a version may only append: those here are of the first one, which every
// library has since.
#ifndef ONNXRUNTIME_H
#define ONNXRUNTIME_H
#include <stddef.h>
#include <stdint.h>

typedef struct OrtStatus OrtStatus;  // NULL where all is well
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtValue OrtValue;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtAllocator OrtAllocator;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;

enum { ORT_VERSION = 1, ORT_LOG_ERRORS = 3, ORT_DEVICE_ALLOCATOR = 0, ORT_MEMORY_DEFAULT = 0 };
enum {
  ORT_FLOAT = 1,
  ORT_UINT8,
  ORT_INT8,
  ORT_UINT16,
  ORT_INT16,
  ORT_INT32,
  ORT_INT64,
  ORT_STRING,
  ORT_BOOL,
  ORT_DOUBLE = 11,
  ORT_UINT32,
  ORT_UINT64
};

// What is not called is a gap, named by the number of its first function.
typedef struct {
  void *gap0[2];
  const char *(*GetErrorMessage)(const OrtStatus *status);
  OrtStatus *(*CreateEnv)(int log_level, const char *log_name, OrtEnv **env);
  void *gap4[3];
  OrtStatus *(*CreateSession)(const OrtEnv *env, const char *path, const OrtSessionOptions *options,
                              OrtSession **session);
  void *gap8[1];
  OrtStatus *(*Run)(OrtSession *session, const OrtRunOptions *options, const char *const *input_names,
                    const OrtValue *const *inputs, size_t input_count,
                    const char *const *output_names, size_t output_count, OrtValue **outputs);
  OrtStatus *(*CreateSessionOptions)(OrtSessionOptions **options);
  void *gap11[13];
  OrtStatus *(*SetIntraOpNumThreads)(OrtSessionOptions *options, int threads);
  void *gap25[23];
  OrtStatus *(*CreateTensorAsOrtValue)(OrtAllocator *allocator, const int64_t *dims, size_t rank,
                                       int type, OrtValue **value);
  OrtStatus *(*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo *memory, void *data, size_t bytes,
                                               const int64_t *dims, size_t rank, int type,
                                               OrtValue **value);
  void *gap50[1];
  OrtStatus *(*GetTensorMutableData)(OrtValue *value, void **data);
  OrtStatus *(*FillStringTensor)(OrtValue *value, const char *const *texts, size_t count);
  void *gap53[7];
  OrtStatus *(*GetTensorElementType)(const OrtTensorTypeAndShapeInfo *info, int *type);
  OrtStatus *(*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo *info, size_t *rank);
  OrtStatus *(*GetDimensions)(const OrtTensorTypeAndShapeInfo *info, int64_t *dims, size_t rank);
  void *gap63[2];
  OrtStatus *(*GetTensorTypeAndShape)(const OrtValue *value, OrtTensorTypeAndShapeInfo **info);
  void *gap66[3];
  OrtStatus *(*CreateCpuMemoryInfo)(int allocator, int memory, OrtMemoryInfo **info);
  void *gap70[8];
  OrtStatus *(*GetAllocatorWithDefaultOptions)(OrtAllocator **allocator);
  void *gap79[17];
  void (*ReleaseValue)(OrtValue *value);
  void *gap97[2];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo *info);
} OrtApi;

#define AT(function, place) \
  _Static_assert(offsetof(OrtApi, function) == place * sizeof(void *), "the place of " #function)
AT(CreateSession, 7);
AT(CreateTensorAsOrtValue, 48);
AT(GetTensorElementType, 60);
AT(GetTensorTypeAndShape, 65);
AT(CreateCpuMemoryInfo, 69);
AT(GetAllocatorWithDefaultOptions, 78);
AT(ReleaseTensorTypeAndShapeInfo, 99);

typedef struct {
  const OrtApi *(*GetApi)(uint32_t version);  // NULL where the library has no such version
  const char *(*GetVersionString)(void);
} OrtApiBase;

const OrtApiBase *OrtGetApiBase(void);
#endif
