// A user's own settings, such as limits below the operator's, theme and time zone. Open to sessions, and to
// API tokens with settings:read or settings:write. Unknown keys are rejected.
import { procedure, router } from '#server/rpc/trpc.ts'
import { getSetting, listSettings, setSetting, unsetSetting } from './queries.ts'
import * as schema from './schema.ts'

const read = procedure('settings:read')
const write = procedure('settings:write')

export const settingsRouter = router({
  all: read.output(schema.settings).query(({ ctx }) => listSettings(ctx.db)),
  get: read
    .input(schema.settingKey)
    .output(schema.settingValue)
    .query(({ ctx, input }) => getSetting(ctx.db, input.key)),
  set: write
    .input(schema.setSetting)
    .output(schema.setSetting)
    .mutation(({ ctx, input }) => setSetting(ctx.db, input)),
  unset: write
    .input(schema.settingKey)
    .output(schema.settingKey)
    .mutation(({ ctx, input }) => unsetSetting(ctx.db, input.key)),
})
