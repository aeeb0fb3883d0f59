// These tests read, write and refuse configurations.
#include "longstride/config.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>

#include "io/scratch.h"
#include "longstride/device.h"
#include "model/config_fields.h"
#include "model/precision.h"

namespace longstride {
namespace {

Config from_set(const std::vector<std::string>& assignments) { return read_config({}, {}, assignments); }

std::string set_words(const std::string& assignment) {
  return error_words(ErrorKind::invalid_argument, [&] { from_set({assignment}); });
}

std::string text_words(const std::string& text) {
  return error_words(ErrorKind::invalid_argument, [&] { read_config({text}, {"run.json"}, {}); });
}

std::string check_words(const Config& config) {
  return error_words(ErrorKind::invalid_argument, [&] { check(config); });
}

TEST(Config, LaterLayersGoOverEarlierOnesKeyByKey) {
  const Config config = read_config(
      {R"({"model": {"width": 64, "layers": 2}, "training": {"batch": 3}})", R"({"model": {"width": 128}})"},
      {"preset", "run.json"}, {"training.batch=5", "training.batch=6"});
  EXPECT_EQ(config.model.width, 128);
  EXPECT_EQ(config.model.layers, 2);
  EXPECT_EQ(config.training.batch, 6);
}

TEST(Config, CommentsAreAllowed) {
  const Config config = read_config({"{ // one\n \"model\": { /* two */ \"layers\": 7 } }"}, {"run.json"}, {});
  EXPECT_EQ(config.model.layers, 7);
}

TEST(Config, AssignmentsAreJsonOrAWord) {
  const Config config = from_set({"model.context=1e4", "model.attention=local(7) | column(8)", "model.feedforward=2.5",
                                  "data.paths=[\"a\", \"b c\"]", "training.precision=bfloat16", "training.minutes=3",
                                  "training.threads=2", "model={\"layers\": 9}"});
  EXPECT_EQ(config.model.context, 10000);
  EXPECT_EQ(config.model.attention, read_attention("local(7) | column(8)"));
  EXPECT_EQ(config.model.hidden_width(), 640);
  EXPECT_EQ(config.data.paths, (std::vector<std::string>{"a", "b c"}));
  EXPECT_EQ(config.training.precision, Precision::bfloat16);
  EXPECT_EQ(config.training.minutes, 3);
  EXPECT_EQ(config.training.threads, 2);
  EXPECT_EQ(config.model.layers, 9);
  EXPECT_EQ(from_set({"data.paths=one file.txt"}).data.paths, std::vector<std::string>{"one file.txt"});
  EXPECT_EQ(from_set({"data.paths=a=b"}).data.paths, std::vector<std::string>{"a=b"});
}

TEST(Config, AnUnknownKeyNamesTheNearestAndItsSource) {
  EXPECT_EQ(set_words("model.widht=3"), "model.widht: no such key; the nearest is model.width (from --set)");
  EXPECT_EQ(set_words("width=3"), "width: no such key; the nearest is model.width (from --set)");
  EXPECT_EQ(set_words("model.batch=3"), "model.batch: no such key; the nearest is training.batch (from --set)");
  EXPECT_EQ(set_words("training.warmup=3"),
            "training.warmup: no such key; the nearest is training.warmup_steps (from --set)");
  EXPECT_EQ(text_words(R"({"modle": {"heads": 3}})"),
            "modle.heads: no such key; the nearest is model.heads (from run.json)");
  EXPECT_EQ(text_words(R"({"training": {"learning-rate": 3}})"),
            "training.learning-rate: no such key; the nearest is training.learning_rate (from run.json)");
}

TEST(Config, WrongTypesNameKeyValueAndSource) {
  EXPECT_EQ(set_words("model.width=abc"), "model.width: needs a whole number in [1, 65536], got \"abc\" (from --set)");
  EXPECT_EQ(set_words("model.width=2.5"), "model.width: needs a whole number in [1, 65536], got 2.5 (from --set)");
  EXPECT_EQ(set_words("model.width=true"), "model.width: needs a whole number in [1, 65536], got true (from --set)");
  EXPECT_EQ(set_words("model.width=null"), "model.width: needs a whole number in [1, 65536], got null (from --set)");
  EXPECT_EQ(set_words("model.width="), "model.width: needs a whole number in [1, 65536], got \"\" (from --set)");
  EXPECT_EQ(text_words(R"({"model": 3})"), "model: needs an object with keys, got 3 (from run.json)");
  EXPECT_EQ(text_words("[1]"), "run.json: needs an object with keys, got [1]");
  EXPECT_EQ(set_words("training.precision=fp16"),
            "training.precision: needs one of auto, float32, bfloat16, got \"fp16\" (from --set)");
  EXPECT_EQ(set_words("model.positions=12"),
            "model.positions: needs a list of 1 to 4 whole numbers in [1, 1073741824], got 12 (from --set)");
  EXPECT_EQ(set_words("data.paths=[1]"), "data.paths: needs a path or a list of paths, got [1] (from --set)");
  EXPECT_EQ(set_words("data.kind=video"), "data.kind: needs text, image or sound, got \"video\" (from --set)");
  EXPECT_EQ(set_words("x"), "--set: needs key=value, such as model.width=256, got \"x\"");
  EXPECT_EQ(set_words("model.attention=[local(7)]"),
            "--set model.attention=[local(7)]: what follows \"=\" is not valid JSON; texts in a list need quotation "
            "marks: [\"a\", \"b\"]");
}

TEST(Config, NumbersOutOfRangeNameTheRange) {
  EXPECT_EQ(set_words("model.dropout=1"), "model.dropout: needs a number in [0, 1), got 1 (from --set)");
  EXPECT_EQ(set_words("model.feedforward=0"), "model.feedforward: needs a number in (0, 64], got 0 (from --set)");
  EXPECT_EQ(set_words("training.epsilon=NaN"), "training.epsilon: needs a number in (0, 1], got \"NaN\" (from --set)");
  EXPECT_EQ(set_words("training.clip=-1"), "training.clip: needs a number in [0, 1000000000], got -1 (from --set)");
  EXPECT_EQ(set_words("training.batch=99999999999999999999"),
            "training.batch: needs a whole number in [1, 65536], got 1e+20 (from --set)");
  EXPECT_EQ(set_words("training.seed=18446744073709551615"),
            "training.seed: needs a whole number in [0, 4611686018427387904], got 18446744073709551615 (from --set)");
  EXPECT_EQ(set_words("model.vocabulary=1"),
            "model.vocabulary: needs a whole number in [2, 65536], got 1 (from --set)");
  EXPECT_EQ(set_words("data.split=[0.5, 0.2, 0.2]"),
            "data.split: needs three shares (train, valid, test) in [0, 1] that sum to 1, got [0.5,0.2,0.2] "
            "(from --set)");
}

TEST(Config, JsonErrorsNameFileLineAndColumn) {
  EXPECT_EQ(text_words("{\n\"model\": {\"width\" 64 }}"),
            "run.json is not valid JSON: line 2, column 19: a colon is missing before \"64\"");
  EXPECT_EQ(text_words({"{}\n\0{}", 6}), "run.json is not valid JSON: line 2, column 1: a byte 0 stands there");
  EXPECT_EQ(text_words(R"({"model": {"width": 3, "width": 4}})"), "width: the key comes twice (from run.json)");
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_EQ(text_words("{\"model\": {\"attention\": " + deep + "}}"), "run.json: nested deeper than 16 levels");
  EXPECT_EQ(set_words("model.attention=" + deep), "--set: nested deeper than 16 levels");
}

TEST(Config, AttentionIsAPatternAListOrAListOfLists) {
  const Pattern local = parse_pattern("local(7)"), column = parse_pattern("column(8)");
  EXPECT_EQ(read_attention("local(7)").blocks, (std::vector<std::vector<Pattern>>{{local}}));
  EXPECT_EQ(read_attention(" \"local(7)\" ").blocks, (std::vector<std::vector<Pattern>>{{local}}));
  EXPECT_EQ(read_attention("[\"local(7)\", \"column(8)\"]").blocks,
            (std::vector<std::vector<Pattern>>{{local}, {column}}));
  EXPECT_EQ(read_attention("[[\"local(7)\", \"column(8)\"], \"column(8)\"]").blocks,
            (std::vector<std::vector<Pattern>>{{local, column}, {column}}));
  for (const char* text : {"\"dense\"", "[\"dense\",\"column(8)\"]", "[[\"dense\",\"column(8)\"]]",
                           "[[\"dense\",\"column(8)\"],\"dense\"]"}) {
    EXPECT_EQ(write_attention(read_attention(text)), text);
  }
}

TEST(Config, AttentionThatCannotBeReadSaysWhereItCameFrom) {
  const std::string words = set_words("model.attention=fixde(8)");
  EXPECT_TRUE(words.starts_with("model.attention: pattern \"fixde(8)\": ")) << words;
  EXPECT_TRUE(words.ends_with(" (from --set)")) << words;
  EXPECT_EQ(set_words("model.attention=5"),
            "model.attention: needs a pattern, a list of patterns over blocks, or a list of lists over heads, got 5 "
            "(from --set)");
  set_words("model.attention=[]");
  set_words("model.attention=[[]]");
  set_words("model.attention=[\"dense\", 3]");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [] { read_attention("[local(7)]"); }),
            "model.attention: [local(7)] is not valid JSON; patterns in a list need quotation marks: "
            "[\"local(7)\", \"column(8)\"]");
}

TEST(Config, ADepthThatNoConfigurationHasIsAnErrorAtOnce) {
  const std::string brackets(1'000'000, '[');  // printing them would take a frame of the stack each
  for (const std::string& text : {brackets, brackets + std::string(1'000'000, ']')}) {
    EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { read_attention(text); }),
              "model.attention: nested deeper than 16 levels");
    EXPECT_EQ(set_words("model.attention=" + text), "--set: nested deeper than 16 levels");
  }
  EXPECT_TRUE(set_words(std::string(1'000'000, '.') + "=1").ends_with(".: no such key (from --set)"));
}

TEST(Config, PositionsLeftOutFollowTheStride) {
  const auto positions = [](const std::string& attention, const std::string& context) {
    return from_set({"model.attention=" + attention, "model.context=" + context}).model.positions;
  };
  using Extents = std::vector<std::int64_t>;
  EXPECT_EQ(positions("fixed(128,32)", "12288"), (Extents{96, 128}));
  EXPECT_EQ(positions("local(7) | column(8)", "100"), (Extents{13, 8}));
  EXPECT_EQ(positions("[\"window(5)\", \"column(9)\"]", "100"), (Extents{12, 9}));
  EXPECT_EQ(positions("dense", "100"), (Extents{10, 10}));
  EXPECT_EQ(positions("local(50)", "101"), (Extents{10, 11}));
  EXPECT_EQ(positions("column(5000)", "100"), (Extents{1, 100}));
  EXPECT_EQ(positions("dense", "1"), (Extents{1, 1}));
}

TEST(Config, WhatElseIsLeftOutIsFilledIn) {
  const Config config = from_set({"model.context=1000", "training.steps=500"});
  EXPECT_EQ(write_attention(config.model.attention), "\"fixed(32,8)\"");
  EXPECT_EQ(config.training.warmup_steps, 50);
  EXPECT_EQ(from_set({"training.steps=100000"}).training.warmup_steps, 5000);
  EXPECT_EQ(from_set({"training.steps=10", "training.warmup_steps=70"}).training.warmup_steps, 70);
}

TEST(Config, SizesThatDoNotFitEachOtherAreErrors) {
  EXPECT_EQ(set_words("model.heads=3"),
            "model.heads: must divide model.width, got 3 heads for width 256 (model.width by default, model.heads from "
            "--set)");
  EXPECT_EQ(set_words("model.query_key=0.3"),
            "model.query_key: times model.width must be a multiple of model.heads, got 0.3 x 256 = 76.8 for 4 heads "
            "(model.width by default, model.heads by default, model.query_key from --set)");
  EXPECT_EQ(
      set_words("model.feedforward=0.3"),
      "model.feedforward: times model.width must be a whole number, got 0.3 x 256 = 76.8 (model.width by default, "
      "model.feedforward from --set)");
  EXPECT_EQ(set_words("model.hash_orders=[2, 4, 4]"), "model.hash_orders: must rise, got [2, 4, 4] (from --set)");
  EXPECT_EQ(set_words("model.hash_orders=[17]"),
            "model.hash_orders: needs a list of 0 to 8 whole numbers in [1, 16], got [17] (from --set)");
  EXPECT_EQ(set_words("model.convolution=-1"),
            "model.convolution: needs a whole number in [0, 1024], got -1 (from --set)");
  EXPECT_EQ(set_words("model.positions=[3, 4]"),
            "model.positions: the product of the extents must be at least model.context, got 3 x 4 = 12 for a context "
            "of 1024 (model.context by default, model.positions from --set)");
  EXPECT_EQ(set_words("model.positions=[31, 33]"),
            "model.positions: the product of the extents must be at least model.context, got 31 x 33 = 1023 for a "
            "context of 1024 (model.context by default, model.positions from --set)");
  EXPECT_EQ(
      error_words(ErrorKind::invalid_argument,
                  [] {
                    from_set({"model.context=1000000000", "training.batch=60000"});
                  }),
      "training.batch, model.context, model.layers and model.width: 60000 x 1000000000 tokens through 4 layers of "
      "width 256 are more than any machine holds; smaller numbers are needed (model.context from --set, "
      "model.layers by default, model.width by default, training.batch from --set)");
  from_set({"model.positions=[1073741824, 1073741824, 4]"});
  EXPECT_EQ(set_words("model.positions=[1073741824, 1073741824, 5]"),  // a product of four would leave 64 bits
            "model.positions: the product of the extents must be at most 2^62, got 1073741824 x 1073741824 x 5 (from "
            "--set)");
}

TEST(Config, CheckSeesWhatAProgramPutTogether) {
  Config config = from_set({});
  check(config);
  config.model.dropout = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(check_words(config), "model.dropout: needs a number in [0, 1), got nan");
  config = from_set({});
  config.training.learning_rate = std::numeric_limits<double>::infinity();
  EXPECT_EQ(check_words(config), "training.learning_rate: needs a number in [0, 100], got inf");
  config = from_set({});
  config.model.attention = {};
  EXPECT_EQ(check_words(config), "model.attention: needs a pattern for every block, got an empty list");
  config.model.attention.blocks = {{Pattern{}}};
  EXPECT_EQ(check_words(config), "model.attention: a pattern has no parts");
  config.model.attention.blocks = {{Pattern{{Part{Primitive::column, 0, 0, 0, false}}}}};
  EXPECT_TRUE(check_words(config).starts_with("model.attention: the lengths in "));
  config = from_set({});
  config.model.positions = {};
  check_words(config);
  config = from_set({});
  config.model.heads = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(check_words(config), "model.heads: needs a whole number in [1, 65536], got -9223372036854775808");
}

// Every key of real numbers is computed with as float32: what that cannot hold is said before anything runs.
TEST(Config, ANumberThatSinglePrecisionCannotHoldIsAnErrorThatNamesItsKey) {
  int keys = 0;
  for (const ConfigField& field : config_fields()) {
    if (!field.write(Config{}).is_number()) continue;
    const auto words = [&](const std::string& value) {
      return words_of_error(ErrorKind::invalid_argument, [&] { from_set({field.key + "=" + value}); });
    };
    if (words("true").find(": needs a number in ") == std::string::npos) continue;
    ++keys;
    for (const char* tiny : {"1e-300", "1e-40", "1e-46"}) {
      EXPECT_TRUE(words(tiny).starts_with(field.key + ": needs a number in ")) << words(tiny);
      EXPECT_NE(words(tiny).find("that float32 tells from 0, got "), std::string::npos) << words(tiny);
    }
    if (words("1").find("[0, 1)") == std::string::npos) continue;
    EXPECT_EQ(words("0.99999999"),
              field.key + ": needs a number in [0, 1) that float32 tells from 1, got 0.99999999 (from --set)");
  }
  EXPECT_EQ(keys, 16);
  EXPECT_EQ(from_set({"training.ema=0.9999999"}).training.ema, 0.9999999);
  EXPECT_EQ(from_set({"training.epsilon=1.2e-38"}).training.epsilon, 1.2e-38);
}

TEST(Config, AThirdTimesAWidthIsWhole) {
  const Config config = from_set({"model.width=96", "model.heads=4", "model.query_key=0.3333333333333333"});
  EXPECT_EQ(config.model.query_width(), 32);
  EXPECT_EQ(config.model.query_head(), 8);
  EXPECT_EQ(config.model.value_head(), 24);
}

TEST(Config, IsWrittenWholeInAFixedOrderAndReadBack) {
  const std::string text =
      write_config(read_config({preset_json("enwik8")}, {"enwik8"}, {"data.paths=[\"a\", \"b\"]"}));
  EXPECT_TRUE(text.starts_with("{\n  \"model\": {\n    \"vocabulary\": 256,\n    \"context\": 12288,\n"));
  EXPECT_NE(text.find("    \"positions\": [96, 128],\n"), std::string::npos);
  EXPECT_NE(text.find("  },\n  \"data\": {\n    \"kind\": \"\",\n    \"paths\": [\"a\", \"b\"],\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\"sample_minutes\": 10\n  }\n}\n"));
  EXPECT_EQ(write_config(read_config({text}, {"run.json"}, {})), text);
}

TEST(Config, NamesThatAreNotUtf8ComeBackByteForByte) {
  Config config = from_set({});
  config.data.paths = {"caf\xe9.txt", "\xff\xfe/\xc2\xa0ok\xc3", "plain"};
  config.data.cache = "\x80";
  const std::string text = write_config(config);
  EXPECT_NE(text.find("\"paths\": [\"caf\\u0000e9.txt\", "), std::string::npos) << text;
  const Config back = read_config({text}, {"run.json"}, {});
  EXPECT_EQ(back.data.paths, config.data.paths);
  EXPECT_EQ(back.data.cache, config.data.cache);
  // As they are in a file or an assignment, too.
  EXPECT_EQ(read_config({"{\"data\": {\"paths\": [\"caf\xe9.txt\"]}}"}, {"a"}, {}).data.paths[0], "caf\xe9.txt");
  EXPECT_EQ(from_set({"data.paths=caf\xe9.txt"}).data.paths[0], "caf\xe9.txt");
  EXPECT_EQ(from_set({"data.paths=[\"caf\xe9.txt\"]"}).data.paths[0], "caf\xe9.txt");
}

TEST(Config, APathWithANulIsRefused) {
  for (const char* path : {"a\\u0000", "a\\u0000b", "a\\u000041", "a\\u0000E9"}) {
    const std::string assignment = fmt::format("data.paths=\"{}\"", path);
    EXPECT_NE(error_words(ErrorKind::invalid_argument, [&] { from_set({assignment}); }).find("a path or a list of"),
              std::string::npos);
  }
}

TEST(Config, RandomNumbersComeBackExactly) {
  const bool holds = rc::check([]() {
    Config config = from_set({});
    const auto share = [] { return *rc::gen::inRange<std::int64_t>(0, std::int64_t{1} << 53) * 0x1p-53; };
    config.model.dropout = share();
    config.training.learning_rate = share() * 100;
    config.training.beta2 = share();
    config.training.epsilon = std::ldexp(share() + 0x1p-53, -*rc::gen::inRange(1, 60));
    config.training.seed = *rc::gen::inRange<std::int64_t>(0, std::int64_t{1} << 62);
    config.training.steps = *rc::gen::inRange<std::int64_t>(0, 1'000'000'000'000);
    const double train = share(), valid = (1 - train) * share();
    config.data.split = {train, valid, 1 - train - valid};
    config.data.image_size = {*rc::gen::inRange<std::int64_t>(1, 65537), 7};
    config.training.recompute = *rc::gen::element(Recompute::automatic, Recompute::none, Recompute::block);
    config.model.initialisation =
        *rc::gen::element(Initialisation::variance, Initialisation::paper, Initialisation::gpt2);
    const Config back = read_config({write_config(config)}, {"text"}, {});
    RC_ASSERT(back.model.dropout == config.model.dropout);
    RC_ASSERT(back.training.learning_rate == config.training.learning_rate);
    RC_ASSERT(back.training.beta2 == config.training.beta2);
    RC_ASSERT(back.training.epsilon == config.training.epsilon);
    RC_ASSERT(back.training.seed == config.training.seed);
    RC_ASSERT(back.training.steps == config.training.steps);
    RC_ASSERT(back.data.split == config.data.split);
    RC_ASSERT(back.data.image_size == config.data.image_size);
    RC_ASSERT(back.training.recompute == config.training.recompute);
    RC_ASSERT(back.model.initialisation == config.model.initialisation);
    RC_ASSERT(back.model.attention == config.model.attention);
  });
  EXPECT_TRUE(holds);
}

TEST(Config, RandomTextsAreReadOrAreErrors) {
  const bool holds = rc::check([](const std::string& text, const std::string& value) {
    try {
      read_config({text}, {"text"}, {});
    } catch (const Error&) {
    }
    for (const char* key : {"model.attention=", "model.positions=", "data.split=", "training.seed=", ""}) {
      try {
        from_set({key + value});
      } catch (const Error&) {
      }
    }
  });
  EXPECT_TRUE(holds);
}

TEST(Preset, EachIsAConfigurationThatCanBe) {
  for (const std::string& name : preset_names()) check(read_config({preset_json(name)}, {name}, {}));
  EXPECT_EQ(
      error_words(ErrorKind::invalid_argument, [] { preset_json("enwik9"); }),
      "no preset \"enwik9\"; the nearest is enwik8 (there are: " + fmt::format("{})", fmt::join(preset_names(), ", ")));
}

TEST(Preset, ChangesTheOneThatItIsBasedOn) {
  const Config base = read_config({preset_json("enwik8")}, {"enwik8"}, {});
  const Config dense = read_config({preset_json("enwik8-dense")}, {"enwik8-dense"}, {"model.attention=fixed(128,32)"});
  EXPECT_EQ(write_config(dense), write_config(base));
}

TEST(Preset, Enwik8IsThePapers) {
  const Config config = read_config({preset_json("enwik8")}, {"enwik8"}, {});
  EXPECT_EQ(config.model.context, 12288);
  EXPECT_EQ(config.model.layers, 30);
  EXPECT_EQ(config.model.width, 512);
  EXPECT_EQ(config.model.heads, 8);
  EXPECT_EQ(config.model.hidden_width(), 2048);
  EXPECT_EQ(config.model.dropout, 0.4);
  EXPECT_EQ(write_attention(config.model.attention), "\"fixed(128,32)\"");
  EXPECT_EQ(config.model.positions, (std::vector<std::int64_t>{96, 128}));
  EXPECT_EQ(config.training.warmup_steps, 5000);
  // 80 epochs of 90 MB in windows of 12,288 bytes.
  EXPECT_EQ(config.training.steps, (80LL * 90'000'000 + 12287) / 12288);
}

TEST(Precision, AutomaticTakesWhatMultipliesFaster) {
  EXPECT_EQ(choice_of_precision(0).precision, Precision::float32);  // none runs natively
  EXPECT_EQ(choice_of_precision(0.59).precision, Precision::float32);
  EXPECT_EQ(choice_of_precision(1).precision, Precision::bfloat16);
  EXPECT_EQ(choice_of_precision(7.5).precision, Precision::bfloat16);
  EXPECT_EQ(choice_of_precision(0.59).reason, "products of bfloat16 run at 0.59 times the rate of float32's here");
}

TEST(Precision, AutomaticIsWhatTheBackendMeasured) {
  const auto backend = make_backend(Device::cpu);
  const double ratio = backend->bfloat16_over_float32();
  EXPECT_EQ(ratio, backend->bfloat16_over_float32());  // measured once
  EXPECT_EQ(ratio > 0, machine_info().bfloat16);
  EXPECT_EQ(resolved(Precision::automatic, *backend).precision, ratio >= 1 ? Precision::bfloat16 : Precision::float32);
  EXPECT_EQ(resolved(Precision::float32, *backend).precision, Precision::float32);
  EXPECT_EQ(resolved(Precision::bfloat16, *backend).precision, Precision::bfloat16);
}

}  // namespace
}  // namespace longstride
