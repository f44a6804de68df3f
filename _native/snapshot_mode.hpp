// Tells from an event of a mobile app how the app's recording shows screens. The rule is PostHog's: snapshotModeFrom in
// nodejs/src/ingestion/pipelines/sessionreplay/rrweb-types.ts.
#pragma once

#include "columns.hpp"
#include "tokens.hpp"

namespace recording {

// Reads the mode off the first valid wireframe of an event: an object with a finite number as its id. A full snapshot
// has `data.wireframes`, and a mutation `data.adds[].wireframe`, then `data.updates[].wireframe`. The event's brace is
// taken, and its text is known to be valid.
SnapshotMode snapshot_mode_of(Tokens& tokens);

}  // namespace recording
