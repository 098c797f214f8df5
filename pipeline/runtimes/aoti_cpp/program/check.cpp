// model.pt2, compiled by AOTInductor, over the weights as they lie in the file.
#include <ATen/Parallel.h>
#include <caffe2/serialize/inline_container.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <torch/csrc/inductor/aoti_runtime/interface.h>

#include <string>
#include <vector>

#include "model.h"
#include "npz.h"
#include "weights.h"

static AOTInductorModelContainerHandle container;

static const struct {
  const char *kind;
  int32_t (*type)();
} KINDS[] = {{"f4", aoti_torch_dtype_float32}, {"f8", aoti_torch_dtype_float64},
             {"b1", aoti_torch_dtype_bool},    {"i1", aoti_torch_dtype_int8},
             {"i2", aoti_torch_dtype_int16},   {"i4", aoti_torch_dtype_int32},
             {"i8", aoti_torch_dtype_int64},   {"u1", aoti_torch_dtype_uint8}};

static void demand_ok(AOTIRuntimeError code) {
  if (code != AOTI_RUNTIME_SUCCESS) fail("AOTInductor:", "see the line above");
}

// The tensor is where `data` is, and owns none of it.
static AtenTensorHandle tensor_of(void *data, int rank, const int64_t *sizes, const int64_t *strides,
                                  int64_t offset, int32_t type) {
  AtenTensorHandle tensor;
  demand_ok(aoti_torch_create_tensor_from_blob(data, rank, sizes, strides, offset, type,
                                               aoti_torch_device_type_cpu(), 0, &tensor));
  return tensor;
}

// Pages that are not looked at are not read, and one that were written to would be the process' own.
static char *mapped(const std::string &path) {
  int file = open(path.c_str(), O_RDONLY);
  off_t size = file < 0 ? -1 : lseek(file, 0, SEEK_END);
  void *bytes = size < 1 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  if (bytes == MAP_FAILED) fail("cannot map", path.c_str());
  close(file);
  return static_cast<char *>(bytes);
}

static void give_weights(const std::string &path) {
  caffe2::serialize::PyTorchStreamReader archive(path);
  char *bytes = mapped(path);
  std::vector<AOTInductorConstantMapEntry> entries;
  size_t count;
  demand_ok(AOTInductorModelContainerGetNumConstants(container, &count));
  for (size_t each = 0; each < count; each++) {
    const char *name, *original;
    demand_ok(AOTInductorModelContainerGetConstantName(container, each, &name));
    demand_ok(AOTInductorModelContainerGetConstantOriginalFQN(container, each, &original));
    auto weight = WEIGHTS;
    while (weight->name && strcmp(weight->name, original)) weight++;
    if (!weight->name) fail("expected among the weights", original);
    char *data = bytes + archive.getRecordOffset(weight->member);
    entries.push_back({name, tensor_of(data, weight->rank, weight->sizes, weight->strides,
                                       weight->offset, weight->type())});
  }
  demand_ok(AOTInductorModelContainerUpdateUserManagedConstantBufferPairs(
      container, entries.data(), entries.size(), false, true));
}

static void load(const char *directory) {
  if (const char *threads = getenv("THREADS")) at::set_num_threads(atoi(threads));
  demand_ok(AOTInductorModelContainerCreateWithDevice(&container, 1, "cpu", NULL));
  try {
    give_weights(std::string(directory) + "/model.pt2");
  } catch (const c10::Error &fault) {
    fail("model.pt2:", fault.what_without_backtrace());
  }
}

static AtenTensorHandle as_tensor(const Array *array) {
  int64_t strides[MOST_DIMS], stride = 1;
  for (int each = array->rank - 1; each >= 0; each--) {
    strides[each] = stride;
    stride *= array->dims[each];
  }
  for (const auto &each : KINDS) {
    if (!strcmp(each.kind, array->kind)) {
      return tensor_of(array->data, array->rank, array->dims, strides, 0, each.type());
    }
  }
  fail("cannot read arrays of", array->kind);
  return NULL;
}

static Array as_array(AtenTensorHandle tensor) {
  Array array = {};
  int64_t rank, *sizes, *strides;
  int32_t type;
  void *data;
  demand_ok(aoti_torch_get_dim(tensor, &rank));
  demand_ok(aoti_torch_get_sizes(tensor, &sizes));
  demand_ok(aoti_torch_get_strides(tensor, &strides));
  demand_ok(aoti_torch_get_dtype(tensor, &type));
  demand_ok(aoti_torch_get_data_ptr(tensor, &data));
  for (const auto &each : KINDS) {
    if (each.type() == type) strcpy(array.kind, each.kind);
  }
  if (!array.kind[0] || rank > MOST_DIMS) fail("cannot read", "an output's type or shape");
  array.rank = rank;
  array.count = 1;
  array.size = array.kind[1] - '0';
  bool plain = true;
  for (int each = rank - 1; each >= 0; each--) {
    plain = plain && (sizes[each] == 1 || strides[each] == (int64_t)array.count);
    array.dims[each] = sizes[each];
    array.count *= sizes[each];
  }
  array.data = (unsigned char *)room(array.count * array.size);
  if (plain) memcpy(array.data, data, array.count * array.size);
  for (size_t at = 0; !plain && at < array.count; at++) {
    size_t place = 0, rest = at;
    for (int each = rank - 1; each >= 0; rest /= sizes[each--]) place += rest % sizes[each] * strides[each];
    memcpy(array.data + at * array.size, (char *)data + place * array.size, array.size);
  }
  return array;
}

static void answer(const Array *given, Array *answers) {
  AtenTensorHandle inputs[COUNT(INPUTS)], outputs[COUNT(OUTPUTS)];
  for (int each = 0; each < COUNT(INPUTS); each++) inputs[each] = as_tensor(&given[each]);
  demand_ok(AOTInductorModelContainerRun(container, inputs, COUNT(INPUTS), outputs, COUNT(OUTPUTS),
                                         NULL, NULL));
  for (int each = 0; each < COUNT(OUTPUTS); each++) {
    answers[each] = as_array(outputs[each]);
    aoti_torch_delete_tensor_object(outputs[each]);
  }
}

#include "main.h"
