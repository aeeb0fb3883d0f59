// example TEXT RUN [SECONDS]: trains a small model on a text for some seconds, says how many bits a byte costs it, and
// lets it write.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <longstride/config.h>
#include <longstride/error.h>
#include <longstride/file.h>
#include <longstride/model.h>
#include <longstride/train.h>

using namespace longstride;

namespace {

Config small_model(const std::string& text, double seconds) {
  Config config =
      read_config({preset_json("text-small")}, {"preset text-small"},
                  {"model.layers=2", "model.width=64", "model.heads=2", "model.context=256", "model.positions=[16,16]",
                   "model.attention=fixed(16,4)", "model.hash_orders=[]", "training.batch=4"});
  config.data.paths = {text};
  config.training.minutes = seconds / 60;
  return config;
}

double bits_per_byte(Model& model, const std::string& text) {
  const std::string beginning = read_text(text).substr(0, 2000);
  std::vector<std::int32_t> tokens;
  for (const char byte : beginning) tokens.push_back(static_cast<std::uint8_t>(byte));
  return model.score(tokens).bits_per_token;
}

}  // namespace

int main(int count, char** words) try {
  if (count != 3 && count != 4) throw_invalid("example TEXT RUN [SECONDS]: needs a text and a folder to write to");
  const std::string text = words[1], run = words[2];

  TrainObserver observer;
  observer.noted = [](const std::string& sentence) { std::fprintf(stderr, "%s\n", sentence.c_str()); };
  const Config config = small_model(text, count == 4 ? std::atof(words[3]) : 10);
  const TrainResult trained = train(config, {.out = run, .overwrite = true}, observer);

  Model model({.run = trained.checkpoint});
  std::printf("%lld steps; a byte costs 8 bits as it is and %.2f in the model\n", static_cast<long long>(trained.step),
              bits_per_byte(model, text));

  SampleOptions options;
  options.prompts = {{'T', 'h', 'e', ' '}};
  options.tokens = 200;
  options.temperature = 0.8;
  for (const std::vector<std::uint8_t>& made : model.sample(options)) {
    std::fwrite(made.data(), 1, made.size(), stdout);  // any bytes, zero among them
    std::puts("");
  }
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return error.kind() == ErrorKind::invalid_argument ? 2 : 1;
}
