import { z } from 'zod'
import type { ConfigReader } from './reader.ts'

export function readSmtpUrl(reader: ConfigReader): string | undefined {
  return reader.read('SMTP_URL', {
    schema: z
      .string()
      .refine(text => URL.canParse(text) && /^smtps?:\/\/[^/]/.test(text) && new URL(text).hostname !== ''),
    must: 'an smtp:// or smtps:// address',
    example: 'smtp://user:password@mail.example.com:587',
    isSecret: true,
  })
}
