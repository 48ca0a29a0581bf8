import { expect, it } from 'vitest'
import { tiffOfDirectories } from '#server/testing/hostile-media.ts'
import { pngFile } from '#server/testing/media.ts'
import { loadSharp } from './inspect.ts'

const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>')
const ppm = Buffer.from('P6 1 1 255\nabc')

it.each([
  ['SVG', svg],
  ['PPM', ppm],
  ['TIFF', tiffOfDirectories(1).bytes],
])('sharp cannot read %s', async (_name, bytes) => {
  const sharp = await loadSharp()
  await expect(sharp(bytes).metadata()).rejects.toThrow(/unsupported image format/)
})

it('sharp can read the image types that may be uploaded', async () => {
  const sharp = await loadSharp()
  expect(await sharp((await pngFile(8, 4)).bytes).metadata()).toMatchObject({ width: 8, height: 4 })
})
