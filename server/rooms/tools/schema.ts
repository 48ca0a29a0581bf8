import { z } from 'zod'
import { selectTool } from '#server/db/rows.ts'
import { filledText, jsonObject, jsonValue } from '#server/rpc/inputs.ts'

const MAX_CONFIG_BYTES = 16 * 1024

const slug = filledText(100)

export const tool = selectTool
  .pick({
    slug: true,
    name: true,
    description: true,
    category: true,
    tags: true,
    requiresApproval: true,
    requiresConnection: true,
  })
  .extend({
    /** The JSON Schema of a call's arguments. */
    inputSchema: jsonValue,
    /** The JSON Schema of a user's config. */
    configSchema: jsonValue,
    enabled: z.boolean(),
    config: jsonValue,
  })
export const tools = z.array(tool)

export const toolSlug = z.strictObject({ slug })

export const enableTool = z.strictObject({
  slug,
  /** Must match the tool's config schema. If omitted, the tool keeps its config. */
  config: jsonObject(MAX_CONFIG_BYTES).optional(),
})

export type Tool = z.output<typeof tool>
export type EnableTool = z.output<typeof enableTool>
