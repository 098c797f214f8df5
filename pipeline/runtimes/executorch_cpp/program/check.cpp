// model.pte, which lower.py makes of model.pt2, through ExecuTorch, on one thread.
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/extension/threadpool/threadpool_guard.h>

#include <memory>
#include <vector>

#include "model.h"
#include "npz.h"

using executorch::aten::ScalarType;
using executorch::aten::SizesType;
using executorch::aten::Tensor;
using executorch::runtime::EValue;

static std::unique_ptr<executorch::extension::Module> program;

static const struct {
  const char *kind;
  ScalarType type;
} KINDS[] = {{"f4", ScalarType::Float}, {"f8", ScalarType::Double}, {"b1", ScalarType::Bool},
             {"i1", ScalarType::Char},  {"i2", ScalarType::Short},  {"i4", ScalarType::Int},
             {"i8", ScalarType::Long},  {"u1", ScalarType::Byte}};

static void load(const char *) {
  executorch::extension::threadpool::NoThreadPoolGuard::set_enabled(true);
  program = std::make_unique<executorch::extension::Module>(
      PROGRAM, executorch::extension::Module::LoadMode::Mmap);
  if (program->load_forward() != executorch::runtime::Error::Ok) fail("ExecuTorch cannot load", PROGRAM);
}

// Returns some rows of an array as a tensor that is where they are.
static executorch::extension::TensorPtr rows_of(const Array *array, int64_t start, int64_t rows) {
  size_t width = array->dims[0] ? array->count / array->dims[0] * array->size : 0;
  std::vector<SizesType> sizes(array->dims, array->dims + array->rank);
  sizes[0] = rows;
  for (auto &each : KINDS) {
    if (!strcmp(each.kind, array->kind)) {
      return executorch::extension::from_blob(array->data + start * width, sizes, each.type);
    }
  }
  fail("cannot read arrays of", array->kind);
  return nullptr;
}

// Returns an array for as many rows as there are in all, of a tensor's dtype and further sizes.
static Array room_for(const Tensor &tensor, int64_t rows) {
  Array array = {};
  array.rank = tensor.dim();
  array.count = 1;
  array.size = tensor.element_size();
  for (auto &each : KINDS) {
    if (each.type == tensor.scalar_type()) strcpy(array.kind, each.kind);
  }
  if (!array.kind[0] || array.rank > MOST_DIMS || !array.rank) fail("cannot read", "an output's type or shape");
  for (int each = 0; each < array.rank; each++) {
    array.dims[each] = each ? tensor.size(each) : rows;
    array.count *= array.dims[each];
  }
  array.data = (unsigned char *)room(array.count * array.size);
  return array;
}

// The program takes ROWS at once at most, as much as it has memory laid out for.
static void answer(const Array *given, Array *found) {
  int64_t all = given[0].dims[0];
  for (int64_t start = 0; start < all; start += ROWS) {
    int64_t rows = all - start < ROWS ? all - start : ROWS;
    std::vector<executorch::extension::TensorPtr> tensors;
    std::vector<EValue> values;
    for (int each = 0; each < COUNT(INPUTS); each++) {
      tensors.push_back(rows_of(&given[each], start, rows));
      values.push_back(tensors.back());
    }
    auto answers = program->forward(values);
    if (!answers.ok() || answers->size() != COUNT(OUTPUTS)) fail("ExecuTorch cannot run", PROGRAM);
    for (int each = 0; each < COUNT(OUTPUTS); each++) {
      const Tensor tensor = (*answers)[each].toTensor();
      if (!start) found[each] = room_for(tensor, all);
      size_t width = found[each].count / all * found[each].size;
      if (tensor.nbytes() != rows * width) fail("ExecuTorch answered another shape of", OUTPUTS[each].name);
      memcpy(found[each].data + start * width, tensor.const_data_ptr(), rows * width);
    }
  }
}

#include "main.h"
