import { z } from 'zod'
import { filledText, jsonObject } from '../inputs.ts'

const MAX_CONFIG_BYTES = 16 * 1024

const slug = filledText(100)

export const toolSlug = z.strictObject({ slug })

export const enableTool = z.strictObject({
  slug,
  /** What the tool's config schema asks for. Without it, the tool keeps the config that it has. */
  config: jsonObject(MAX_CONFIG_BYTES).optional(),
})

export type EnableTool = z.output<typeof enableTool>
