// Every command line that cannot be is answered in one plain sentence, which names what was meant where it can be told.
#include "apps/program.h"

namespace longstride {
namespace {

using Lines = std::vector<std::pair<std::vector<std::string>, std::string>>;

class WrongLine : public Commands {
 protected:
  // Each is the sentence between the command's name and the help that is named.
  void expect_answers(const Lines& lines) const {
    for (const auto& [words, sentence] : lines) {
      const std::string answer = refused(words);
      EXPECT_NE(answer.find(": " + sentence + "; `longstride "), std::string::npos) << answer << "wanted: " << sentence;
      for (const char* leaked : {"required", "ubcommand", "not expected", "(1x)", "At Most", "Could not convert"})
        EXPECT_EQ(answer.find(leaked), std::string::npos) << answer;
    }
  }
};

TEST_F(WrongLine, AKeyOfTheConfigurationIsNamedWithTheWayToSetIt) {
  expect_answers({
      {{"train", "--heads", "8"}, "there is no option --heads, it is a key of the configuration: --set model.heads=8"},
      {{"plan", "--dropout=0.1"},
       "there is no option --dropout, it is a key of the configuration: --set model.dropout=0.1"},
      {{"train", "--warmup-steps"},
       "there is no option --warmup-steps, it is a key of the configuration: --set training.warmup_steps=VALUE"},
      {{"train", "--training.clip", "--quiet"},
       "there is no option --training.clip, it is a key of the configuration: --set training.clip=VALUE"},
      {{"plan", "--attention-layout", "--drop-out", "x y"},
       "there is no option --attention-layout; the nearest is --attention"},
      {{"plan", "--drop_uot", "1"}, "there is no option --drop_uot; the nearest is --set model.dropout=VALUE"},
      {{"train", "--kind", "it's"},
       "there is no option --kind, it is a key of the configuration: --set 'data.kind=it'\\''s'"},
      {{"info", "--image_size", "[8,8]"},
       "there is no option --image_size, it is a key of the configuration: --set 'data.image_size=[8,8]'"},
      {{"info", "--width", "8"}, "there is no option --width; the commands train and plan have it"},
  });
}

TEST_F(WrongLine, AnOptionOfAnotherCommandIsSaidToBeTheirs) {
  expect_answers({
      {{"attention", "run", "--prompt", "x"}, "there is no option --prompt; the command sample has it"},
      {{"plan", "--resume"}, "there is no option --resume; the command train has it"},
      {{"chat", "run", "--json"}, "there is no option --json; chat has none, other commands do"},
      {{"evaluate", "run", "--heads", "3"}, "there is no option --heads; the commands pattern and attention have it"},
      {{"evaluate", "run", "--zebra"}, "there is no option --zebra"},
      {{"evaluate", "run", "-n", "3"}, "there is no option -n"},
      {{"sample", "run", "-tokens", "3"}, "there is no option -tokens; the nearest is --tokens"},
      {{"train", "--learning_rate", "3"}, "there is no option --learning_rate; the nearest is --learning-rate"},
  });
}

TEST_F(WrongLine, WhatIsMissingAndWhatIsTooMuchIsSaidPlainly) {
  expect_answers({
      {{}, "a command is needed: train, evaluate, sample, chat, pattern, plan, info, attention and doctor"},
      {{"dance"},
       "there is no command \"dance\"; the commands are train, evaluate, sample, chat, pattern, plan, info, attention "
       "and "
       "doctor"},
      {{"--zebra"},
       "there is no option --zebra before the command; the commands are train, evaluate, sample, chat, pattern, plan, "
       "info, "
       "attention and doctor"},
      {{"--verson"}, "there is no option --verson; the nearest is --version"},
      {{"--", "train"}, "-- stands before the command; `longstride train ...` goes without it"},
      {{"--json", "info", "run"},
       "--json stands before the command; what it takes comes after it: `longstride info --json ...`"},
      {{"evaluate"}, "RUN is missing: a run directory, a checkpoint directory or a .safetensors file"},
      {{"pattern", "dense"}, "--length N is missing: positions of the sequence, n"},
      {{"pattern"},
       "PATTERN is missing: a pattern, or as in a configuration a JSON list over blocks, inner lists over heads"},
      {{"sample", "one", "two"}, "\"two\" is a word too many: sample takes RUN and options"},
      {{"train", "text"}, "\"text\" is a word too many: train takes options alone (data are named by --data)"},
      {{"sample", "run", "--tokens", "3", "--tokens", "4"}, "--tokens: takes one value, was given 2 times"},
      {{"sample", "run", "--tokens"}, "--tokens: needs N, got none"},
      {{"evaluate", "run", "--data"}, "--data: needs PATH, got none"},
      {{"sample", "run", "--prompt", "--tokens", "5"},
       "--prompt: needs TEXT, got the option --tokens (--prompt=--tokens would take it for that)"},
      {{"evaluate", "run", "--page", "--json"},
       "--page: needs FILE.html, got the option --json (--page=--json would take it for that)"},
      {{"info", "run", "--json=perhaps"}, "--json: takes no value, got \"perhaps\""},
      {{"sample", "run", "--top-k", "few"}, "--top-k: needs a whole number, got \"few\""},
  });
}

TEST_F(WrongLine, ARunThatDataTookIsSaidToStandBehindThem) {
  train(0);
  const std::string data = path("text");
  expect_answers({{{"evaluate", "--data", data, path("run"), "--split", "all"},
                   "RUN is missing: --data takes all paths that follow it, \"/run\" too; put that before --data"},
                  {{"evaluate", "--data", data},
                   "RUN is missing: a run directory, a checkpoint directory or a "
                   ".safetensors file"}});
}

TEST_F(WrongLine, OptionsThatAnotherOneGivesAMeaningNeedThatOne) {
  train(0);
  EXPECT_EQ(refused({"info", "--checkpoint", "best"}),
            "longstride info: --checkpoint: is one of a RUN; give that too\n");
  EXPECT_EQ(refused({"attention", path("run"), "--prime", path("text"), "--window", "4,20"}),
            "longstride attention: --window: says what --picture FILE.png draws; give that too\n");
  EXPECT_EQ(refused(training("train", {"--out", "-"})),
            "longstride train: --out: needs the name of a folder, got \"-\"\n");
}

TEST_F(WrongLine, HelpMayBeAWord) {
  EXPECT_EQ(run({"help"}).out, run({"--help"}).out);
  EXPECT_EQ(run({"help", "chat"}).out, run({"chat", "--help"}).out);
  EXPECT_NE(run({"help", "chat"}).out.find("(default: 0.8)"), std::string::npos);
  refused({"help", "dance"});
}

TEST_F(WrongLine, UsageCountsNoWords) {
  const Finished help = run({"info", "--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_NE(help.out.find("[RUN...]"), std::string::npos) << help.out;
  EXPECT_EQ(help.out.find("(1x)"), std::string::npos) << help.out;
}

}  // namespace
}  // namespace longstride
