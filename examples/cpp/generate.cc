// An exported language model goes on with a text, in C++ with ONNX Runtime: ids in, ids out, the likeliest each time.
//
//     cmake -S . -B build -DONNXRUNTIME_ROOT=/path/to/onnxruntime-linux-x64 && cmake --build build
//     build/generate exported/model.onnx 100 1 42 17
//
// After the file come the number of ids to write and the ids of the prompt, of which the first is the start symbol's.
// Nothing is kept between two steps but the states, which are arguments and results.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iostream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <onnxruntime_cxx_api.h>

namespace {

class LanguageModel {
 public:
  explicit LanguageModel(const std::filesystem::path& file) : session_(env_, file.c_str(), Ort::SessionOptions{}) {
    Ort::AllocatorWithDefaultOptions allocator;
    // All but the tokens and the logits are states, in the same order on both sides.
    for (size_t k = 0; k < session_.GetInputCount(); k++) {
      const std::string name = session_.GetInputNameAllocated(k, allocator).get();
      if (name == inputs_[0]) continue;
      inputs_.push_back(name);
      states_.push_back(Zeros(session_.GetInputTypeInfo(k)));
    }
    for (size_t k = 0; k < session_.GetOutputCount(); k++) {
      const std::string name = session_.GetOutputNameAllocated(k, allocator).get();
      if (name != outputs_[0]) outputs_.push_back(name);
    }
    if (session_.GetInputCount() != inputs_.size() || inputs_.size() != outputs_.size()) {
      throw std::runtime_error("the file holds no language model");
    }
  }

  // Reads a token, and returns the logits of the next one.
  std::vector<float> Step(int32_t token) {
    const std::vector<int64_t> shape{1, 1};  // one text, one step
    std::vector<Ort::Value> given;
    given.push_back(Ort::Value::CreateTensor<int32_t>(memory_, &token, 1, shape.data(), shape.size()));
    for (auto& state : states_) given.push_back(std::move(state));

    const auto inputs = Pointers(inputs_), outputs = Pointers(outputs_);
    auto results = session_.Run(Ort::RunOptions{}, inputs.data(), given.data(), given.size(), outputs.data(),
                                outputs.size());
    for (size_t k = 0; k < states_.size(); k++) states_[k] = std::move(results[k + 1]);
    const float* logits = results[0].GetTensorData<float>();
    return {logits, logits + results[0].GetTensorTypeAndShapeInfo().GetElementCount()};
  }

 private:
  static Ort::Value Zeros(const Ort::TypeInfo& type) {
    auto shape = type.GetTensorTypeAndShapeInfo().GetShape();
    for (auto& size : shape) size = std::max<int64_t>(size, 1);  // -1 is the number of texts
    Ort::AllocatorWithDefaultOptions allocator;
    auto value = Ort::Value::CreateTensor<float>(allocator, shape.data(), shape.size());
    const auto count = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
    std::fill_n(value.GetTensorMutableData<float>(), count, 0.0f);
    return value;
  }

  static std::vector<const char*> Pointers(const std::vector<std::string>& names) {
    std::vector<const char*> found;
    for (const auto& name : names) found.push_back(name.c_str());
    return found;
  }

  Ort::Env env_;
  Ort::Session session_;
  Ort::MemoryInfo memory_ = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::vector<std::string> inputs_{"tokens"}, outputs_{"logits"};
  std::vector<Ort::Value> states_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: generate MODEL.onnx LENGTH ID...\n";
    return 2;
  }
  try {
    LanguageModel model(argv[1]);
    std::vector<float> logits;
    for (int k = 3; k < argc; k++) logits = model.Step(std::stoi(argv[k]));
    for (int length = std::stoi(argv[2]); length > 0; length--) {
      const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
      std::cout << best << std::endl;
      if (length > 1) logits = model.Step(static_cast<int32_t>(best));
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
