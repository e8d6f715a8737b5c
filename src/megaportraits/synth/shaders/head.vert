#version 330
// Skins a vertex: eyeball, then neck chain and head, then torso; MakeHuman's world, decimetres.
uniform mat4 view_projection;
uniform mat4 light_projection;
uniform mat4 neck[4];
uniform mat4 torso;
uniform mat4 eyes[2];
in vec3 in_position;
in vec3 in_normal;
in vec2 in_uv;
in vec4 in_neck;
in float in_eye;
in float in_mask;
in float in_scalp;
in float in_occlusion;
out vec3 position;
out vec3 at_rest;
out vec3 normal;
out vec2 uv;
out vec4 light_position;
out float mask;
out float scalp;
out float openness;

void main() {
    vec4 p = vec4(in_position, 1.0);
    vec3 n = in_normal;
    at_rest = in_position;
    if (in_eye > 0.5) {
        mat4 eye = eyes[in_eye < 1.5 ? 0 : 1];
        p = eye * p;
        n = mat3(eye) * n;
    }
    mat4 bone = mat4(1.0) * (1.0 - dot(in_neck, vec4(1.0)));
    for (int k = 0; k < 4; k++) bone += neck[k] * in_neck[k];
    bone = torso * bone;
    p = bone * p;
    position = p.xyz;
    normal = mat3(bone) * n;
    uv = vec2(in_uv.x, 1.0 - in_uv.y);
    mask = in_mask;
    scalp = in_scalp;
    openness = in_occlusion;
    light_position = light_projection * p;
    gl_Position = view_projection * p;
}
