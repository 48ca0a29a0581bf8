// What a user has set for themselves: limits below the operator's, theme, time zone. For sessions, and for API tokens with
// settings:read or settings:write. An unknown key is refused.
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
