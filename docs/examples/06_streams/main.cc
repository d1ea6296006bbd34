#include <algorithm>
#include <cstdio>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "weather.weft.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

weather::Reading ReadingOf(const std::string& place, double degrees) {
  weather::Reading reading;
  reading.set_place(place);
  reading.set_degrees(degrees);
  return reading;
}

weather::Query QueryOf(const std::string& place, int days) {
  weather::Query query;
  query.set_place(place);
  query.set_days(days);
  return query;
}

class Station final : public weather::Station::Service {
 public:
  absl::Status Report(weft::ServerContext&, weft::ServerReader<weather::Reading>& readings,
                      weather::Summary& summary) override {
    weather::Reading reading;
    // Ends for the client's half-close, and for a call that was cancelled: the reply then goes
    // nowhere.
    while (readings.Read(&reading)) {
      summary.set_readings(summary.readings() + 1);
      summary.set_warmest(std::max(summary.warmest(), reading.degrees()));
    }
    return absl::OkStatus();
  }

  absl::Status Forecast(weft::ServerContext&, weather::Query& query,
                        weft::ServerWriter<weather::Reading>& days) override {
    for (int day = 1; day <= query.days(); ++day) {
      if (!days.Write(ReadingOf(query.place(), 20 + day))) {
        // The client has gone or given up. More writes would only cost.
        return absl::CancelledError("nobody reads any more");
      }
    }
    return absl::OkStatus();
  }

  absl::Status Compare(weft::ServerContext&,
                       weft::ServerStream<weather::Query, weather::Reading>& stream) override {
    weather::Query query;
    while (stream.Read(&query)) {
      // Ends the stream at once: the client's next read is false, and its Finish has this error.
      if (query.place().empty()) return absl::InvalidArgumentError("which place?");
      if (!stream.Write(ReadingOf(query.place(), 1.5 * query.days()))) break;
    }
    return absl::OkStatus();
  }

  absl::Status Ask(weft::ServerContext& call, weather::Query& query,
                   weather::Reading& reply) override {
    // Calls the client itself, on the connection that the client made.
    weather::Thermometer::Stub thermometer(*call.caller());
    absl::StatusOr<weather::Reading> read = thermometer.Read(query);
    if (!read.ok()) return read.status();
    reply = *std::move(read);
    call.reply_attachment() = absl::Cord("a picture of the sky");
    return absl::OkStatus();
  }
};

class Thermometer final : public weather::Thermometer::Service {
 public:
  absl::Status Read(weft::ServerContext&, weather::Query& query, weather::Reading& reply) override {
    reply = ReadingOf(query.place(), 17);
    return absl::OkStatus();
  }
};

weft::Coro<absl::Status> CompareCoro(weather::Station::Stub& station) {
  // Destroyed with the coroutine's frame: an early end would cancel the call.
  auto talk = station.Compare();
  weather::Reading reading;
  for (const char* place : {"Oslo", "Rome"}) {
    const weather::Query query = QueryOf(place, 10);
    // A failed write or read has no reason of its own. FinishCoro tells it.
    if (!co_await talk.WriteCoro(query)) break;
    if (!co_await talk.ReadCoro(&reading)) break;
    std::printf("%s: %.0f degrees\n", reading.place().c_str(), reading.degrees());
  }
  co_return co_await talk.FinishCoro();
}

int main() {
  Station service;
  weft::Server server;
  if (!server.Register(service).ok() || !server.Start("127.0.0.1:0").ok()) return 1;
  // Declared before the channel, which serves it until the channel's end.
  Thermometer thermometer;
  weft::ChannelOptions options;
  options.services = {&thermometer};
  auto channel = weft::Channel::Create(server.addresses().at(0), std::move(options));
  if (!channel.ok()) return 1;
  weather::Station::Stub station(**channel);

  auto report = station.Report();
  // The results are not looked at: Finish tells whether all arrived.
  for (const double degrees : {11.5, 23.0, 19.0}) report.Write(ReadingOf("Bern", degrees));
  const absl::StatusOr<weather::Summary> summary = report.Finish();
  if (!summary.ok()) return 1;
  std::printf("%d readings, the warmest %.1f\n", static_cast<int>(summary->readings()),
              summary->warmest());

  // The timeout is for the whole stream, so a long one needs more than the channel's.
  auto forecast = station.Forecast(QueryOf("Bern", 3), {.timeout = absl::Seconds(60)});
  weather::Reading reading;
  while (forecast.Read(&reading)) std::printf("%.0f degrees\n", reading.degrees());
  // Read says only that nothing more comes. The status says whether that was all.
  const absl::Status end = forecast.Finish();
  std::printf("the forecast ended with %s\n", absl::StatusCodeToString(end.code()).c_str());

  // Spawn returns at once, so main needs something to wait for.
  std::promise<absl::Status> compared;
  weft::Spawn(CompareCoro(station), [&](std::optional<absl::Status> status, std::exception_ptr) {
    compared.set_value(status.has_value() ? *status : absl::UnknownError("it threw"));
  });
  // Waits here, since the coroutine refers to `station`.
  const absl::Status comparison = compared.get_future().get();
  std::printf("the comparison ended with %s\n",
              absl::StatusCodeToString(comparison.code()).c_str());

  weft::ClientContext context;
  const absl::StatusOr<weather::Reading> asked = station.Ask(
      QueryOf("here", 0), {.context = &context, .compression = weft::Compression::kZstd});
  if (!asked.ok()) return 1;
  std::printf("%s: %.0f degrees, and %s\n", asked->place().c_str(), asked->degrees(),
              std::string(context.reply_attachment()).c_str());
  server.Stop();
  return 0;
}
